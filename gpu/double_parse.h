#pragma once
/// A decimal number as the nearest double, ties to even: the same bits on every side.
#include "gpu/double_exact.h"
#include "gpu/double_round.h"
#include "gpu/number_parse.h"

namespace millrace {

/// The first 19 digits from the first that is not zero, and where they are: mantissa * 10^exponent.
struct short_decimal {
  std::uint64_t mantissa = 0;
  std::int64_t exponent = 0;
  bool cut = false;  ///< more digits follow
};

MILLRACE_HOST_DEVICE inline short_decimal read_shortly(const number_text& number) {
  constexpr int digits_max = 19;
  short_decimal value;
  value.exponent = number.exponent;
  int count = 0;
  for (int part = 0; part < 2; ++part) {
    const byte_range digits = part == 0 ? number.whole : number.fraction;
    for (std::uint32_t i = 0; i < digits.count; ++i) {
      if (count == digits_max) {
        value.cut = true;
        if (part == 1) return value;
        value.exponent += digits.count - i;
        break;
      }
      value.mantissa = value.mantissa * 10 + (digits[i] - '0');
      count += value.mantissa != 0 ? 1 : 0;
      value.exponent -= part;
    }
  }
  return value;
}

/// Bits of the double. False: beyond the largest one. `powers`: see round_decimal().
MILLRACE_HOST_DEVICE inline bool parse_double(const number_text& number,
                                              const power_of_five* powers, std::uint64_t& out) {
  const short_decimal value = read_shortly(number);
  constexpr std::uint64_t sign_bit = 1ull << 63;
  const std::uint64_t sign = number.negative ? sign_bit : 0;
  if (value.exponent == 0 && !value.cut && value.mantissa <= 1ull << 53) {
    out = bits_of(static_cast<double>(value.mantissa)) | sign;
    return true;
  }
  rounded_double nearest = round_decimal(value.mantissa, value.exponent, powers);
  bool sure = nearest.sure;
  if (value.cut) {
    const rounded_double above = round_decimal(value.mantissa + 1, value.exponent, powers);
    sure = sure && above.sure && above.bits == nearest.bits;
  }
  if (!sure) nearest.bits = round_exactly(number, nearest.bits);
  out = nearest.bits | sign;
  return nearest.bits != double_infinity_bits;
}

}  // namespace millrace
