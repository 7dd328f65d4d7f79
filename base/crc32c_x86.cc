#include "base/crc32c_x86.h"

#ifdef MILLRACE_CRC32C_X86

#include <algorithm>
#include <array>

#include <immintrin.h>

#include "base/endian.h"

// Arithmetic on reflected polynomials: bit i of an n-bit register is the coefficient of x^(n-1-i).
// A carry-less product of two reflected registers is the reflected product times x. Hence the
// exponents below: what they lack is supplied by that x and by the reducing crc32 instruction
// (x^32). The method is that of Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using
// CRC32 Instruction" and "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (Intel).

namespace millrace::crc32c_x86 {
namespace {

/// x^exponent modulo the polynomial, reflected. Negative exponents divide: x has an inverse.
constexpr std::uint32_t x_power(int exponent) {
  std::uint32_t value = 0x80000000u;  // x^0
  for (; exponent > 0; --exponent)
    value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
  for (; exponent < 0; ++exponent) {
    const bool reduced = (value & 0x80000000u) != 0;
    value = ((reduced ? value ^ 0x82f63b78u : value) << 1) | (reduced ? 1 : 0);
  }
  return value;
}

/// Words of 8 bytes that one of the three streams takes at most before they are joined.
constexpr std::size_t stream_words_max = 256;

/// [n]: multiplies a CRC register by x^(64 n), the step over n words, once the product has been
/// reduced by a crc32 instruction.
constexpr auto make_skips() {
  std::array<std::uint32_t, 2 * stream_words_max + 1> skips{};
  std::uint32_t value = x_power(-33);
  for (auto& skip : skips) {
    skip = value;
    for (int bit = 0; bit < 64; ++bit)
      value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
  }
  return skips;
}
constexpr auto skips = make_skips();

[[gnu::target("sse4.2,pclmul")]] inline __m128i skip_words(std::uint64_t state, std::size_t words) {
  return _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(state)),
                              _mm_cvtsi32_si128(static_cast<int>(skips[words])), 0);
}

/// A pair of multipliers that move a 128-bit register `bits` ahead.
constexpr std::uint64_t fold_low(int bits) {
  return x_power(bits + 31);
}
constexpr std::uint64_t fold_high(int bits) {
  return x_power(bits - 33);
}

}  // namespace

bool has_sse42() {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

bool has_avx512() {
  return has_sse42() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
}

[[gnu::target("sse4.2,pclmul")]] std::uint32_t sse42(std::uint32_t state, const std::byte* bytes,
                                                     std::size_t count) {
  std::uint64_t first = state;
  while (count >= 3 * 64) {
    const std::size_t words = std::min(count / 24, stream_words_max);
    const std::byte* const second_at = bytes + words * 8;
    const std::byte* const third_at = second_at + words * 8;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < words; ++i) {
      first = _mm_crc32_u64(first, load<std::uint64_t>(bytes + i * 8));
      second = _mm_crc32_u64(second, load<std::uint64_t>(second_at + i * 8));
      third = _mm_crc32_u64(third, load<std::uint64_t>(third_at + i * 8));
    }
    const __m128i joined = _mm_xor_si128(skip_words(first, 2 * words), skip_words(second, words));
    first = _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(joined))) ^ third;
    bytes += words * 24;
    count -= words * 24;
  }
  for (; count >= 8; bytes += 8, count -= 8) {
    first = _mm_crc32_u64(first, load<std::uint64_t>(bytes));
  }
  auto last = static_cast<std::uint32_t>(first);
  if ((count & 4) != 0) {
    last = _mm_crc32_u32(last, load<std::uint32_t>(bytes));
    bytes += 4;
  }
  for (count &= 3; count > 0; ++bytes, --count) {
    last = _mm_crc32_u8(last, static_cast<unsigned char>(*bytes));
  }
  return last;
}

#define MILLRACE_TARGET_AVX512 [[gnu::target("avx512f,vpclmulqdq,sse4.2,pclmul")]]

namespace {

/// Multipliers that move each 128-bit register of a vector ahead, the last register's first.
template <int Bits3, int Bits2 = Bits3, int Bits1 = Bits3, int Bits0 = Bits3>
MILLRACE_TARGET_AVX512 inline __m512i multipliers() {
  return _mm512_set_epi64(fold_high(Bits3), fold_low(Bits3), fold_high(Bits2), fold_low(Bits2),
                          fold_high(Bits1), fold_low(Bits1), fold_high(Bits0), fold_low(Bits0));
}

/// `from`, each of its registers moved ahead, plus `to`.
MILLRACE_TARGET_AVX512 inline __m512i fold(__m512i from, __m512i by, __m512i to) {
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(from, by, 0x00),
                                   _mm512_clmulepi64_epi128(from, by, 0x11), to, 0x96);
}

}  // namespace

MILLRACE_TARGET_AVX512 std::uint32_t avx512(std::uint32_t state, const std::byte* bytes,
                                            std::size_t count) {
  if (count < 256) return sse42(state, bytes, count);
  __m512i sum0 =
      _mm512_xor_si512(_mm512_loadu_si512(bytes),
                       _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(state))));
  __m512i sum1 = _mm512_loadu_si512(bytes + 64);
  __m512i sum2 = _mm512_loadu_si512(bytes + 128);
  __m512i sum3 = _mm512_loadu_si512(bytes + 192);
  bytes += 256;
  count -= 256;
  const __m512i by_256 = multipliers<2048>();
  for (; count >= 256; bytes += 256, count -= 256) {
    sum0 = fold(sum0, by_256, _mm512_loadu_si512(bytes));
    sum1 = fold(sum1, by_256, _mm512_loadu_si512(bytes + 64));
    sum2 = fold(sum2, by_256, _mm512_loadu_si512(bytes + 128));
    sum3 = fold(sum3, by_256, _mm512_loadu_si512(bytes + 192));
  }
  const __m512i by_64 = multipliers<512>();
  sum1 = fold(sum0, by_64, sum1);
  sum3 = fold(sum2, by_64, sum3);
  sum3 = fold(sum1, multipliers<1024>(), sum3);
  for (; count >= 64; bytes += 64, count -= 64) {
    sum3 = fold(sum3, by_64, _mm512_loadu_si512(bytes));
  }
  // The first three registers are moved to where the last one is; that one stays as it is.
  const __m512i moved = fold(sum3, multipliers<128, 128, 256, 384>(), _mm512_setzero_si512());
  __m128i sum = _mm512_extracti32x4_epi32(sum3, 3);
  sum = _mm_xor_si128(sum, _mm512_castsi512_si128(moved));
  sum = _mm_xor_si128(sum, _mm512_extracti32x4_epi32(moved, 1));
  sum = _mm_xor_si128(sum, _mm512_extracti32x4_epi32(moved, 2));
  std::uint64_t last = _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum)));
  last = _mm_crc32_u64(last, static_cast<std::uint64_t>(_mm_extract_epi64(sum, 1)));
  return sse42(static_cast<std::uint32_t>(last), bytes, count);
}

}  // namespace millrace::crc32c_x86
#endif
