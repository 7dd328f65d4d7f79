#pragma once
/// The double nearest to a decimal number of any length, by comparing it with what lies half way
/// between two doubles in whole numbers. Slow; only for what double_round.h is not sure of.
#include "gpu/double_round.h"
#include "gpu/number_parse.h"

namespace millrace {

/// A natural number of up to 3072 bits: 770 digits have 2558, 5^1115 * 2^53 has 2643.
class wide_natural {
 public:
  MILLRACE_HOST_DEVICE explicit wide_natural(std::uint64_t value) {
    for (; value != 0; value >>= 32)
      words_[used_++] = static_cast<std::uint32_t>(value);
  }
  MILLRACE_HOST_DEVICE void multiply_add(std::uint32_t factor, std::uint32_t addend) {
    std::uint64_t carry = addend;
    for (int i = 0; i < used_; ++i) {
      carry += static_cast<std::uint64_t>(words_[i]) * factor;
      words_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0 && used_ < capacity) words_[used_++] = static_cast<std::uint32_t>(carry);
  }
  MILLRACE_HOST_DEVICE void multiply_by_power_of_five(std::int64_t exponent) {
    for (; exponent >= 13; exponent -= 13)
      multiply_add(1'220'703'125u, 0);  // 5^13
    for (; exponent > 0; --exponent)
      multiply_add(5, 0);
  }
  MILLRACE_HOST_DEVICE void shift_left(std::int64_t bits) {
    for (; bits >= 31; bits -= 31)
      multiply_add(1u << 31, 0);
    multiply_add(1u << bits, 0);
  }
  /// Negative, zero or positive, as this is less, equal or greater.
  MILLRACE_HOST_DEVICE int compare(const wide_natural& other) const {
    if (used_ != other.used_) return used_ - other.used_;
    for (int i = used_ - 1; i >= 0; --i) {
      if (words_[i] != other.words_[i]) return words_[i] < other.words_[i] ? -1 : 1;
    }
    return 0;
  }

 private:
  static constexpr int capacity = 96;
  int used_ = 0;
  std::uint32_t words_[capacity];
};

/// What can be half way between two doubles has at most 767 digits, so that further digits count
/// only in not being zero.
inline constexpr int exact_digits_max = 769;

struct exact_decimal {
  wide_natural digits{0};
  std::int64_t exponent = 0;  ///< of ten, of the last digit
};

MILLRACE_HOST_DEVICE inline exact_decimal read_exactly(const number_text& number) {
  exact_decimal value;
  value.exponent = number.exponent;
  int count = 0;
  bool more = false;
  for (int part = 0; part < 2; ++part) {
    const byte_range digits = part == 0 ? number.whole : number.fraction;
    for (std::uint32_t i = 0; i < digits.count; ++i) {
      const std::uint32_t digit = digits[i] - '0';
      if (count == exact_digits_max) {
        more |= digit != 0;
        value.exponent += part == 0 ? 1 : 0;
        continue;
      }
      if (count > 0 || digit != 0) {
        value.digits.multiply_add(10, digit);
        ++count;
      }
      value.exponent -= part;
    }
  }
  if (more) {
    value.digits.multiply_add(10, 1);
    --value.exponent;
  }
  return value;
}

/// Compares a number with what lies half way between the finite double of `bits` and the next one.
MILLRACE_HOST_DEVICE inline int compare_with_half_way(const exact_decimal& value,
                                                      std::uint64_t bits) {
  const std::uint64_t biased = bits >> double_fraction_bits;
  const std::uint64_t hidden = 1ull << double_fraction_bits;
  const std::uint64_t significand = (bits & (hidden - 1)) | (biased == 0 ? 0 : hidden);
  // Half way is (2 * significand + 1) * 2^exponent.
  const std::int64_t exponent = static_cast<std::int64_t>(biased == 0 ? 1 : biased) - 1076;
  wide_natural left = value.digits;
  wide_natural right(2 * significand + 1);
  if (value.exponent >= 0) {
    left.multiply_by_power_of_five(value.exponent);
  } else {
    right.multiply_by_power_of_five(-value.exponent);
  }
  const std::int64_t twos = exponent - value.exponent;
  if (twos >= 0) {
    right.shift_left(twos);
  } else {
    left.shift_left(-twos);
  }
  return left.compare(right);
}

/// `near` is the result or a neighbour of it.
MILLRACE_HOST_DEVICE_CALLED inline std::uint64_t round_exactly(const number_text& number,
                                                               std::uint64_t near) {
  const exact_decimal value = read_exactly(number);
  std::uint64_t bits = near;
  while (bits < double_infinity_bits) {
    const int order = compare_with_half_way(value, bits);
    if (order < 0 || (order == 0 && bits % 2 == 0)) break;
    ++bits;
  }
  while (bits > 0) {
    const int order = compare_with_half_way(value, bits - 1);
    if (order > 0 || (order == 0 && bits % 2 == 0)) break;
    --bits;
  }
  return bits;
}

}  // namespace millrace
