// Compiled with -mavx512f -mavx512bw -mavx512vl.
#if defined(__x86_64__)
#include <immintrin.h>

#include "gpu/json_index_vectors.h"

namespace millrace::json_detail {
namespace {

struct avx512 {
  static inline block_masks masks(__m512i bytes) {
    const __m512i braces = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    return {_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"')),
            _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\')),
            _mm512_cmpeq_epi8_mask(braces, _mm512_set1_epi8('{')) |
                _mm512_cmpeq_epi8_mask(braces, _mm512_set1_epi8('}')) |
                _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(':')) |
                _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(','))};
  }
  static inline block_masks masks(const std::byte* bytes) {
    return masks(_mm512_loadu_si512(bytes));
  }
  /// Bytes that are masked out are not touched; they are zero, which is nothing to us.
  static inline block_masks masks_of_some(const std::byte* bytes, std::uint32_t count) {
    return masks(_mm512_maskz_loadu_epi8((1ull << count) - 1, bytes));
  }

  static inline std::uint32_t* append(std::uint64_t bits, std::uint32_t base, std::uint32_t* out) {
    __m512i numbers =
        _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(base)));
    for (int quarter = 0; quarter < 4; ++quarter) {
      const auto some = static_cast<__mmask16>(bits);
      _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(some, numbers));
      out += __builtin_popcount(some);
      bits >>= 16;
      numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(16));
    }
    return out;
  }
};

}  // namespace

std::uint32_t index_avx512(const std::byte* document, std::uint32_t count, json_index_state& state,
                           std::uint32_t* out) {
  return index_window<avx512>(document, count, state, out);
}

}  // namespace millrace::json_detail
#endif
