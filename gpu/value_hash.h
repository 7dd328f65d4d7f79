#pragma once
/// The 64-bit hash of values counted as distinct: the same everywhere, and part of what snapshots
/// of HyperLogLog registers mean. Do not change. (Groups have a keyed one, group_hash.h.)
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gpu/host_device.h"

namespace millrace {

/// Takes one word after another. Each step is a bijection of the state for a given word, so that
/// different single words never collide.
MILLRACE_HOST_DEVICE inline std::uint64_t hash_step(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) * 0x9e3779b97f4a7c15u;
  return state ^ (state >> 32);
}
/// Spreads what the last words changed over all bits (the finish of MurmurHash3, by A. Appleby).
MILLRACE_HOST_DEVICE inline std::uint64_t hash_finish(std::uint64_t state) {
  state = (state ^ (state >> 33)) * 0xff51afd7ed558ccdu;
  state = (state ^ (state >> 33)) * 0xc4ceb9fe1a85ec53u;
  return state ^ (state >> 33);
}

inline constexpr std::uint64_t hash_start = 0x2545f4914f6cdd1du;

MILLRACE_HOST_DEVICE inline std::uint64_t hash_words(const std::uint64_t* words,
                                                     std::uint32_t count) {
  std::uint64_t state = hash_start;
  for (std::uint32_t i = 0; i < count; ++i)
    state = hash_step(state, words[i]);
  return hash_finish(state);
}

/// Bytes that come one at a time, as eight-byte little-endian words, the last one filled with
/// zeros, and then their number.
struct byte_hasher {
  std::uint64_t state = hash_start;
  std::uint64_t word = 0;
  std::uint64_t count = 0;

  MILLRACE_HOST_DEVICE void add(unsigned char byte) {
    word |= static_cast<std::uint64_t>(byte) << (8 * (count & 7));
    if ((++count & 7) == 0) {
      state = hash_step(state, word);
      word = 0;
    }
  }
  MILLRACE_HOST_DEVICE std::uint64_t finish() const {
    const std::uint64_t last = (count & 7) != 0 ? hash_step(state, word) : state;
    return hash_finish(hash_step(last, count));
  }
};

}  // namespace millrace
