#pragma once
/// The hash of group keys in tables: keyed by a secret that is new in each fold, so that nobody can
/// send keys that all meet in one slot. It never leaves the fold: neither snapshots nor results
/// depend on it. A step multiplies to 128 bits and folds the halves together (as wyhash does, by
/// Wang Yi): what a change of a word changes depends on the secret in every bit.
#include <cstdint>

#include "base/types.h"
#include "gpu/host_device.h"

namespace millrace {

struct hash_secret {
  std::uint64_t start = 0;
  std::uint64_t multiplier = 0;  ///< odd
};

/// Another one each time; from the system's randomness. Thread-safe.
hash_secret draw_hash_secret();
/// For tests, in the thread that makes folds: from here on they follow from `seed`.
void seed_hash_secrets(std::uint64_t seed);

MILLRACE_HOST_DEVICE inline std::uint64_t group_hash_step(std::uint64_t state, std::uint64_t word,
                                                          const hash_secret& secret) {
  const uint128 product = static_cast<uint128>(state ^ word) * secret.multiplier;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// The CPU's tables go by the upper bits, a device's by the lower ones.
MILLRACE_HOST_DEVICE inline std::uint64_t group_hash_finish(std::uint64_t state,
                                                            const hash_secret& secret) {
  return group_hash_step(state, secret.start, secret);
}

MILLRACE_HOST_DEVICE inline std::uint64_t hash_group_key(const std::uint64_t* words,
                                                         std::uint32_t count,
                                                         const hash_secret& secret) {
  std::uint64_t state = secret.start;
  for (std::uint32_t i = 0; i < count; ++i)
    state = group_hash_step(state, words[i], secret);
  return group_hash_finish(state, secret);
}

}  // namespace millrace
