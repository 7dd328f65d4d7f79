// Sixteen keys a vector, several vectors interleaved. Compiled with -mavx512f -mavx512bw
// -mavx512vl.
#if defined(__x86_64__)
#include <immintrin.h>

#include "gpu/md5_vectors.h"

namespace millrace::md5_detail {
namespace {

struct avx512 {
  using vector = __m512i;
  using mask = __mmask16;
  static constexpr int lanes = 16;

  static MILLRACE_INLINE vector broadcast(std::uint32_t x) {
    return _mm512_set1_epi32(static_cast<int>(x));
  }
  static MILLRACE_INLINE vector load_constant(const std::uint32_t& x) {
    vector result;
    asm("vpbroadcastd %1, %0" : "=v"(result) : "m"(x));
    return result;
  }
  static MILLRACE_INLINE vector add(vector x, vector y) { return _mm512_add_epi32(x, y); }
  template <int Bits>
  static MILLRACE_INLINE vector shift_left(vector x) {
    return _mm512_slli_epi32(x, Bits);
  }
  template <int Bits>
  static MILLRACE_INLINE vector rotate(vector x) {
    return _mm512_rol_epi32(x, Bits);
  }
  // The immediates are the functions' truth tables, x the highest bit of the index.
  static MILLRACE_INLINE vector f(vector x, vector y, vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0xca);
  }
  static MILLRACE_INLINE vector g(vector x, vector y, vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0xe4);
  }
  static MILLRACE_INLINE vector h(vector x, vector y, vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0x96);
  }
  static MILLRACE_INLINE vector i(vector x, vector y, vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0x39);
  }
  static MILLRACE_INLINE mask equal(vector x, vector y) { return _mm512_cmpeq_epi32_mask(x, y); }
  static MILLRACE_INLINE mask less(vector x, vector y) { return _mm512_cmplt_epi32_mask(x, y); }
  static MILLRACE_INLINE vector select(mask where, vector x, vector y) {
    return _mm512_mask_blend_epi32(where, y, x);
  }
  static MILLRACE_INLINE vector counts(const md5_key* keys) {
    const vector low =
        _mm512_unpackhi_epi32(_mm512_loadu_si512(keys), _mm512_loadu_si512(keys + 4));
    const vector high =
        _mm512_unpackhi_epi32(_mm512_loadu_si512(keys + 8), _mm512_loadu_si512(keys + 12));
    // Now each quarter q of the two has the counts of keys q and q + 4, and of q + 8 and q + 12.
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        _mm512_unpacklo_epi64(low, high));
  }

  /// Each row takes two keys, paired so that the words come out in the order of the keys.
  template <class Left>
  static MILLRACE_INLINE void load(const md5_key* keys, Left left, vector words[8]) {
    vector r[8];
    for (int k = 0; k < 4; ++k) {
      r[k] = load_keys(keys[k], keys[k + 4], left);
      r[k + 4] = load_keys(keys[k + 8], keys[k + 12], left);
    }
    vector t[8];
    for (int k = 0; k < 8; k += 2) {
      t[k] = _mm512_unpacklo_epi32(r[k], r[k + 1]);
      t[k + 1] = _mm512_unpackhi_epi32(r[k], r[k + 1]);
    }
    for (int k = 0; k < 8; k += 4) {
      r[k] = _mm512_unpacklo_epi64(t[k], t[k + 2]);
      r[k + 1] = _mm512_unpackhi_epi64(t[k], t[k + 2]);
      r[k + 2] = _mm512_unpacklo_epi64(t[k + 1], t[k + 3]);
      r[k + 3] = _mm512_unpackhi_epi64(t[k + 1], t[k + 3]);
    }
    for (int k = 0; k < 4; ++k) {
      words[k] = _mm512_shuffle_i32x4(r[k], r[k + 4], 0x88);
      words[k + 4] = _mm512_shuffle_i32x4(r[k], r[k + 4], 0xdd);
    }
  }

  static MILLRACE_INLINE void store(vector a, vector b, vector c, vector d, const md5_key* keys,
                                    uint128* out) {
    const vector swap =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    a = _mm512_shuffle_epi8(a, swap);
    b = _mm512_shuffle_epi8(b, swap);
    c = _mm512_shuffle_epi8(c, swap);
    d = _mm512_shuffle_epi8(d, swap);
    const vector low[2] = {_mm512_unpacklo_epi32(d, c), _mm512_unpackhi_epi32(d, c)};
    const vector high[2] = {_mm512_unpacklo_epi32(b, a), _mm512_unpackhi_epi32(b, a)};
    for (int k = 0; k < 4; ++k) {
      const vector four = k % 2 == 0 ? _mm512_unpacklo_epi64(low[k / 2], high[k / 2])
                                     : _mm512_unpackhi_epi64(low[k / 2], high[k / 2]);
      put(out + keys[k].slot, _mm512_castsi512_si128(four));
      put(out + keys[k + 4].slot, _mm512_extracti32x4_epi32(four, 1));
      put(out + keys[k + 8].slot, _mm512_extracti32x4_epi32(four, 2));
      put(out + keys[k + 12].slot, _mm512_extracti32x4_epi32(four, 3));
    }
  }

 private:
  static MILLRACE_INLINE void put(uint128* to, __m128i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
  template <class Left>
  static MILLRACE_INLINE vector load_keys(const md5_key& low, const md5_key& high, Left left) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load_key(low, left)), load_key(high, left), 1);
  }
};

}  // namespace

void hash_avx512(const md5_key* keys, std::size_t count, uint128* out) {
  hash_keys<avx512, 3>(keys, count, out);
}

}  // namespace millrace::md5_detail
#endif
