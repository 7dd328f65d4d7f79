#pragma once
/// Loads 32 bytes of a padded MD5 message without touching memory that is not the key's. Included
/// only by the files compiled for one instruction set, and private to each of them (see
/// md5_vectors.h).
#include <immintrin.h>

#include "gpu/md5_lanes.h"

namespace millrace::md5_detail {
namespace {

/// Windows of 32 bytes, one byte further for each byte that a key has fewer: which of its bytes
/// count, and where the 0x80 goes.
struct alignas(64) key_windows {
  unsigned char end[128];   ///< the window of a key of 32 bytes or more is at 0
  unsigned char keep[128];  ///< at 3; the window at 0 has the top bit of each word that is touched
};
constexpr key_windows make_key_windows() {
  key_windows windows{};
  windows.end[32] = 0x80;
  for (int i = 0; i < 35; ++i)
    windows.keep[i] = 0xff;
  return windows;
}
constexpr key_windows windows = make_key_windows();

[[gnu::target("avx2"), gnu::always_inline]] inline __m256i key_window(const unsigned char* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

/// `left` bytes (at most 32) at `from`, then 0x80 and zeros; 0x80 alone for 0, nothing for -1.
/// Words that the key does not reach are masked: they are not touched, whatever lies there.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i load_message(const std::byte* from,
                                                                        std::ptrdiff_t left) {
  const std::ptrdiff_t missing = 32 - left;
  const __m256i touched = key_window(windows.keep + missing);
  const __m256i loaded = _mm256_maskload_epi32(reinterpret_cast<const int*>(from), touched);
  return _mm256_or_si256(_mm256_and_si256(loaded, key_window(windows.keep + 3 + missing)),
                         key_window(windows.end + missing));
}

/// The first bytes of a key of at most 32.
struct whole_key {};
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i load_key(const md5_key& key, whole_key) {
  return load_message(key.bytes, static_cast<std::ptrdiff_t>(key.count));
}

/// The bytes of any key from `offset` on.
struct key_from {
  std::uint32_t offset;
};
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i load_key(const md5_key& key,
                                                                    key_from from) {
  auto left = static_cast<std::ptrdiff_t>(key.count) - static_cast<std::ptrdiff_t>(from.offset);
  left = left < -1 ? -1 : left > 32 ? 32 : left;
  return load_message(key.bytes + from.offset, left);
}

}  // namespace
}  // namespace millrace::md5_detail
