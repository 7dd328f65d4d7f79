#pragma once
/// The double nearest to mantissa * 10^exponent, nearly always: D. Lemire, "Number Parsing at a
/// Gigabyte per Second", Software: Practice and Experience 51(8), 2021, and N. Mushtak, D. Lemire,
/// "Fast Number Parsing Without Fallback", 2023.
#include "gpu/scan_bits.h"

namespace millrace {

/// 128 bits of 5^q, the highest bit set; the rest is cut off, but rounded up for -27 <= q < 0.
struct power_of_five {
  std::uint64_t high;
  std::uint64_t low;
};
inline constexpr int power_of_five_min = -342;
inline constexpr int power_of_five_max = 308;
inline constexpr std::uint32_t powers_of_five = power_of_five_max - power_of_five_min + 1;

inline constexpr std::uint64_t double_infinity_bits = 0x7ff0000000000000u;
inline constexpr int double_fraction_bits = 52;

struct rounded_double {
  std::uint64_t bits;  ///< of a double >= 0; infinity when it is too large
  bool sure;           ///< false: it may be the neighbour
};

/// `powers[0]` is 5^power_of_five_min.
MILLRACE_HOST_DEVICE inline rounded_double round_decimal(std::uint64_t mantissa,
                                                         std::int64_t exponent,
                                                         const power_of_five* powers) {
  if (mantissa == 0 || exponent < power_of_five_min) return {0, true};
  if (exponent > power_of_five_max) return {double_infinity_bits, true};
  const int q = static_cast<int>(exponent);
  const int zeros = leading_zeros(mantissa);
  const std::uint64_t w = mantissa << zeros;
  const power_of_five power = powers[q - power_of_five_min];

  const uint128 first = static_cast<uint128>(w) * power.high;
  auto high = static_cast<std::uint64_t>(first >> 64);
  auto low = static_cast<std::uint64_t>(first);
  // 52 bits of fraction, the hidden one, one to round by, one for a leading zero: the rest decides
  // nothing unless all of it is ones.
  constexpr std::uint64_t rest = ~0ull >> (double_fraction_bits + 3);
  if ((high & rest) == rest) {
    const auto more = static_cast<std::uint64_t>((static_cast<uint128>(w) * power.low) >> 64);
    low += more;
    high += low < more ? 1 : 0;
  }
  // 5^q is exact in 128 bits up to 5^55; for small negative q the error cannot carry so far.
  const bool sure = low != ~0ull || (q >= -27 && q <= 55);

  const int top = static_cast<int>(high >> 63);
  const int shift = top + 64 - double_fraction_bits - 3;
  std::uint64_t significand = high >> shift;
  // floor(q * log2(10)) from a 16-bit fraction; exact over the range of q.
  int biased = ((217'706 * q) >> 16) + 63 + top - zeros + 1023;
  if (biased <= 0) {  // subnormal
    if (1 - biased >= 64) return {0, sure};
    significand >>= 1 - biased;
    significand += significand & 1;
    return {significand >> 1, sure};  // a carry into the hidden bit makes it normal by itself
  }
  // Exactly half way, which only small powers can be: round to even.
  if (low <= 1 && q >= -4 && q <= 23 && (significand & 3) == 1 && significand << shift == high) {
    significand &= ~1ull;
  }
  significand += significand & 1;
  significand >>= 1;
  if (significand >> (double_fraction_bits + 1) != 0) {
    significand >>= 1;
    ++biased;
  }
  if (biased >= 0x7ff) return {double_infinity_bits, sure};
  constexpr std::uint64_t fraction = (1ull << double_fraction_bits) - 1;
  return {static_cast<std::uint64_t>(biased) << double_fraction_bits | (significand & fraction),
          sure};
}

}  // namespace millrace
