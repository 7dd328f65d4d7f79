#include "base/base64_x86.h"

#ifdef MILLRACE_BASE64_X86

#include <array>
#include <cstdint>

#include <immintrin.h>

// The methods are those of Mula and Lemire, "Faster Base64 Encoding and Decoding Using AVX2
// Instructions" (2018) and "Base64 encoding and decoding at almost the speed of a memory copy"
// (2020, AVX-512).

#define MILLRACE_TARGET_AVX2 [[gnu::target("avx2")]]
#define MILLRACE_TARGET_AVX512 [[gnu::target("avx512f,avx512bw,avx512vbmi")]]

namespace millrace::base64_x86 {
namespace {

constexpr char digits[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where the output's groups find their bytes: each group of three as b a c b, of which two pairs
/// of digits can be cut.
constexpr auto encode_order = [] {
  std::array<std::uint8_t, 64> out{};
  for (std::uint8_t i = 0; i < 16; ++i) {
    const auto from = static_cast<std::uint8_t>(3 * i);
    out[4 * i] = out[4 * i + 3] = static_cast<std::uint8_t>(from + 1);
    out[4 * i + 1] = from;
    out[4 * i + 2] = static_cast<std::uint8_t>(from + 2);
  }
  return out;
}();

/// Decoding makes 24 bits of each 32, the first byte highest: this drops the rest and turns them.
constexpr auto decode_order = [] {
  std::array<std::uint8_t, 64> out{};
  for (std::uint8_t i = 0; i < 48; ++i)
    out[i] = static_cast<std::uint8_t>(i / 3 * 4 + 2 - i % 3);
  return out;
}();

constexpr std::uint8_t no_digit = 0x80;
/// A digit's value by its character, of ASCII.
constexpr auto values = [] {
  std::array<std::uint8_t, 128> out{};
  out.fill(no_digit);
  for (std::uint8_t i = 0; i < 64; ++i)
    out[static_cast<std::uint8_t>(digits[i])] = i;
  return out;
}();

}  // namespace

bool has_avx2() {
  return __builtin_cpu_supports("avx2");
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vbmi");
}

MILLRACE_TARGET_AVX2 std::size_t encode_avx2(const std::byte* bytes, std::size_t count, char* to) {
  const std::byte* at = bytes;
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(encode_order.data())));
  // What to add to a digit's value: by its kind, which is 13 for capitals, 0 for small letters, 1
  // to 10 for numerals, 11 and 12 for the last two.
  const __m256i offsets = _mm256_broadcastsi128_si256(
      _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                    '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0));
  // Each half loads 16 bytes and uses 12 of them.
  for (; count >= 28; count -= 24, at += 24, to += 32) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 12));
    const __m256i in =
        _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), order);
    const __m256i first = _mm256_mulhi_epu16(_mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)),
                                             _mm256_set1_epi32(0x04000040));
    const __m256i second = _mm256_mullo_epi16(_mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)),
                                              _mm256_set1_epi32(0x01000010));
    const __m256i value = _mm256_or_si256(first, second);
    const __m256i is_capital = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), value);
    const __m256i kind = _mm256_or_si256(_mm256_subs_epu8(value, _mm256_set1_epi8(51)),
                                         _mm256_and_si256(is_capital, _mm256_set1_epi8(13)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_add_epi8(_mm256_shuffle_epi8(offsets, kind), value));
  }
  return static_cast<std::size_t>(at - bytes);
}

MILLRACE_TARGET_AVX2 std::size_t decode_avx2(const char* text, std::size_t count, std::byte* to,
                                             bool& good) {
  const char* at = text;
  // A character is no digit where what its low half allows and what its high half is have a bit in
  // common.
  const __m256i low_kinds =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                                0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a));
  const __m256i high_kinds =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08,
                                                0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10));
  const __m256i offsets = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
  const __m256i slash = _mm256_set1_epi8('/');
  for (; count > 32; count -= 32, at += 32, to += 24) {
    const __m256i in = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(in, 4), _mm256_set1_epi8(0x0f));
    const __m256i low = _mm256_and_si256(in, _mm256_set1_epi8(0x0f));
    const __m256i wrong = _mm256_and_si256(_mm256_shuffle_epi8(high_kinds, high),
                                           _mm256_shuffle_epi8(low_kinds, low));
    if (!_mm256_testz_si256(wrong, wrong)) {
      good = false;
      break;
    }
    const __m256i kind = _mm256_add_epi8(_mm256_cmpeq_epi8(in, slash), high);
    const __m256i value = _mm256_add_epi8(in, _mm256_shuffle_epi8(offsets, kind));
    const __m256i pairs = _mm256_maddubs_epi16(value, _mm256_set1_epi32(0x01400140));
    const __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(groups, order),
                                                       _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 16), _mm256_extracti128_si256(packed, 1));
  }
  return static_cast<std::size_t>(at - text);
}

MILLRACE_TARGET_AVX512 std::size_t encode_avx512(const std::byte* bytes, std::size_t count,
                                                 char* to) {
  constexpr __mmask64 first_48 = (__mmask64{1} << 48) - 1;
  const std::byte* at = bytes;
  const __m512i order = _mm512_loadu_si512(encode_order.data());
  const __m512i characters = _mm512_loadu_si512(digits);
  // Of b a c b: the six bits of each digit, which end at bits 10, 4, 22 and 16.
  const __m512i shifts = _mm512_set1_epi64(0x3036242a1016040a);
  for (; count >= 48; count -= 48, at += 48, to += 64) {
    const __m512i in = _mm512_permutexvar_epi8(order, _mm512_maskz_loadu_epi8(first_48, at));
    // The look-up takes the low six bits of each byte.
    const __m512i value = _mm512_multishift_epi64_epi8(shifts, in);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi8(value, characters));
  }
  return static_cast<std::size_t>(at - bytes);
}

MILLRACE_TARGET_AVX512 std::size_t decode_avx512(const char* text, std::size_t count, std::byte* to,
                                                 bool& good) {
  constexpr __mmask64 first_48 = (__mmask64{1} << 48) - 1;
  const char* at = text;
  const __m512i order = _mm512_loadu_si512(decode_order.data());
  const __m512i low_values = _mm512_loadu_si512(values.data());
  const __m512i high_values = _mm512_loadu_si512(values.data() + 64);
  __m512i wrong = _mm512_setzero_si512();
  for (; count > 64; count -= 64, at += 64, to += 48) {
    const __m512i in = _mm512_loadu_si512(at);
    const __m512i value = _mm512_permutex2var_epi8(low_values, in, high_values);
    // The highest bit: no digit, or beyond ASCII.
    wrong = _mm512_or_si512(wrong, _mm512_or_si512(value, in));
    const __m512i pairs = _mm512_maddubs_epi16(value, _mm512_set1_epi32(0x01400140));
    const __m512i groups = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
    _mm512_mask_storeu_epi8(to, first_48, _mm512_permutexvar_epi8(order, groups));
  }
  if (_mm512_movepi8_mask(wrong) != 0) good = false;
  return static_cast<std::size_t>(at - text);
}

}  // namespace millrace::base64_x86
#endif
