// Eight keys a vector, three vectors interleaved. Compiled with -mavx2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "gpu/md5_vectors.h"

namespace millrace::md5_detail {
namespace {

struct avx2 {
  using vector = __m256i;
  using mask = __m256i;
  static constexpr int lanes = 8;

  static MILLRACE_INLINE vector broadcast(std::uint32_t x) {
    return _mm256_set1_epi32(static_cast<int>(x));
  }
  static MILLRACE_INLINE vector load_constant(const std::uint32_t& x) {
    vector result;
    asm("vpbroadcastd %1, %0" : "=x"(result) : "m"(x));
    return result;
  }
  static MILLRACE_INLINE vector add(vector x, vector y) { return _mm256_add_epi32(x, y); }
  template <int Bits>
  static MILLRACE_INLINE vector shift_left(vector x) {
    return _mm256_slli_epi32(x, Bits);
  }
  template <int Bits>
  static MILLRACE_INLINE vector rotate(vector x) {
    if constexpr (Bits == 16) {
      return _mm256_shuffle_epi8(
          x, _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14,
                             9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
    } else {
      return _mm256_or_si256(_mm256_slli_epi32(x, Bits), _mm256_srli_epi32(x, 32 - Bits));
    }
  }
  static MILLRACE_INLINE vector f(vector x, vector y, vector z) {
    return _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
  }
  /// Not f(z, x, y), so that less depends on x, which is the last to be known.
  static MILLRACE_INLINE vector g(vector x, vector y, vector z) {
    return _mm256_or_si256(_mm256_and_si256(x, z), _mm256_andnot_si256(z, y));
  }
  static MILLRACE_INLINE vector h(vector x, vector y, vector z) {
    return _mm256_xor_si256(x, _mm256_xor_si256(y, z));
  }
  static MILLRACE_INLINE vector i(vector x, vector y, vector z) {
    return _mm256_xor_si256(y, _mm256_or_si256(x, _mm256_xor_si256(z, _mm256_set1_epi32(-1))));
  }
  static MILLRACE_INLINE mask equal(vector x, vector y) { return _mm256_cmpeq_epi32(x, y); }
  static MILLRACE_INLINE mask less(vector x, vector y) { return _mm256_cmpgt_epi32(y, x); }
  static MILLRACE_INLINE vector select(mask where, vector x, vector y) {
    return _mm256_blendv_epi8(y, x, where);
  }
  static MILLRACE_INLINE vector counts(const md5_key* keys) {
    const auto pair = [&](int k) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys + k));
    };
    const vector low = _mm256_unpackhi_epi32(pair(0), pair(2));   // counts 0 2 | 1 3, and slots
    const vector high = _mm256_unpackhi_epi32(pair(4), pair(6));  // counts 4 6 | 5 7
    return _mm256_permutevar8x32_epi32(_mm256_unpacklo_epi64(low, high),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }

  template <class Left>
  static MILLRACE_INLINE void load(const md5_key* keys, Left left, vector words[8]) {
    vector r[8];
    for (int k = 0; k < 8; ++k)
      r[k] = load_key(keys[k], left);
    vector t[8];
    for (int k = 0; k < 8; k += 2) {
      t[k] = _mm256_unpacklo_epi32(r[k], r[k + 1]);
      t[k + 1] = _mm256_unpackhi_epi32(r[k], r[k + 1]);
    }
    for (int k = 0; k < 8; k += 4) {
      r[k] = _mm256_unpacklo_epi64(t[k], t[k + 2]);
      r[k + 1] = _mm256_unpackhi_epi64(t[k], t[k + 2]);
      r[k + 2] = _mm256_unpacklo_epi64(t[k + 1], t[k + 3]);
      r[k + 3] = _mm256_unpackhi_epi64(t[k + 1], t[k + 3]);
    }
    for (int k = 0; k < 4; ++k) {
      words[k] = _mm256_permute2x128_si256(r[k], r[k + 4], 0x20);
      words[k + 4] = _mm256_permute2x128_si256(r[k], r[k + 4], 0x31);
    }
  }

  static MILLRACE_INLINE void store(vector a, vector b, vector c, vector d, const md5_key* keys,
                                    uint128* out) {
    const vector swap = _mm256_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3, 12,
                                        13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    a = _mm256_shuffle_epi8(a, swap);
    b = _mm256_shuffle_epi8(b, swap);
    c = _mm256_shuffle_epi8(c, swap);
    d = _mm256_shuffle_epi8(d, swap);
    const vector low[2] = {_mm256_unpacklo_epi32(d, c), _mm256_unpackhi_epi32(d, c)};
    const vector high[2] = {_mm256_unpacklo_epi32(b, a), _mm256_unpackhi_epi32(b, a)};
    for (int k = 0; k < 4; ++k) {
      const vector pair = k % 2 == 0 ? _mm256_unpacklo_epi64(low[k / 2], high[k / 2])
                                     : _mm256_unpackhi_epi64(low[k / 2], high[k / 2]);
      put(out + keys[k].slot, _mm256_castsi256_si128(pair));
      put(out + keys[k + 4].slot, _mm256_extracti128_si256(pair, 1));
    }
  }

 private:
  static MILLRACE_INLINE void put(uint128* to, __m128i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
};

}  // namespace

void hash_avx2(const md5_key* keys, std::size_t count, uint128* out) {
  hash_keys<avx2, 3>(keys, count, out);
}

}  // namespace millrace::md5_detail
#endif
