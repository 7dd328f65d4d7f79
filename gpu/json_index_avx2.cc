// Compiled with -mavx2.
#if defined(__x86_64__)
#include <cstring>

#include <immintrin.h>

#include "gpu/json_index_vectors.h"

namespace millrace::json_detail {
namespace {

struct avx2 {
  static inline std::uint64_t equal(__m256i low, __m256i high, char to) {
    const __m256i value = _mm256_set1_epi8(to);
    const auto low_bits =
        static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, value)));
    const auto high_bits =
        static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, value)));
    return low_bits | static_cast<std::uint64_t>(high_bits) << 32;
  }

  /// [ and { differ in one bit, so do ] and }.
  static inline __m256i structural(__m256i bytes) {
    const __m256i braces = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    return _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(braces, _mm256_set1_epi8('{')),
                                           _mm256_cmpeq_epi8(braces, _mm256_set1_epi8('}'))),
                           _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(':')),
                                           _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(','))));
  }

  static inline block_masks masks(const std::byte* bytes) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32));
    const auto low_bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(structural(low)));
    const auto high_bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(structural(high)));
    return {equal(low, high, '"'), equal(low, high, '\\'),
            low_bits | static_cast<std::uint64_t>(high_bits) << 32};
  }

  static inline block_masks masks_of_some(const std::byte* bytes, std::uint32_t count) {
    std::byte padded[64];
    std::memset(padded, ' ', sizeof padded);
    std::memcpy(padded, bytes, count);
    return masks(padded);
  }

  static inline std::uint32_t* append(std::uint64_t bits, std::uint32_t base, std::uint32_t* out) {
    std::uint32_t* const end = out + __builtin_popcountll(bits);
    // Eight at a time without looking whether there are so many: most blocks have fewer.
    do {
      for (int i = 0; i < 8; ++i) {
        out[i] = base + static_cast<std::uint32_t>(bits == 0 ? 0 : __builtin_ctzll(bits));
        bits &= bits - 1;
      }
      out += 8;
    } while (bits != 0);
    return end;
  }
};

}  // namespace

std::uint32_t index_avx2(const std::byte* document, std::uint32_t count, json_index_state& state,
                         std::uint32_t* out) {
  return index_window<avx2>(document, count, state, out);
}

}  // namespace millrace::json_detail
#endif
