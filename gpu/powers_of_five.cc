#include "gpu/powers_of_five.h"

#include <vector>

namespace millrace {
namespace {

/// A natural number as 32-bit words, the lowest first, without zeros at the end.
using natural = std::vector<std::uint32_t>;

void multiply(natural& number, std::uint32_t factor) {
  std::uint64_t carry = 0;
  for (std::uint32_t& word : number) {
    carry += static_cast<std::uint64_t>(word) * factor;
    word = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  if (carry != 0) number.push_back(static_cast<std::uint32_t>(carry));
}

bool is_less(const natural& x, const natural& y) {
  if (x.size() != y.size()) return x.size() < y.size();
  for (std::size_t i = x.size(); i-- > 0;) {
    if (x[i] != y[i]) return x[i] < y[i];
  }
  return false;
}

/// `y` is not greater than `x`.
void subtract(natural& x, const natural& y) {
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint64_t take = borrow + (i < y.size() ? y[i] : 0);
    borrow = x[i] < take ? 1 : 0;
    x[i] -= static_cast<std::uint32_t>(take);
  }
  while (!x.empty() && x.back() == 0)
    x.pop_back();
}

/// The highest 128 bits of `number`, shifted up where it has fewer.
uint128 highest_bits(const natural& number) {
  uint128 bits = 0;
  int left = 128;
  for (std::size_t i = number.size(); i-- > 0 && left > 0;) {
    for (int bit = 31; bit >= 0 && left > 0; --bit) {
      const std::uint32_t one = number[i] >> bit & 1;
      if (bits == 0 && one == 0) continue;
      bits = bits << 1 | one;
      --left;
    }
  }
  return bits << left;
}

/// The first 128 bits of 1 / `number`: a division bit by bit.
uint128 reciprocal(const natural& number) {
  natural rest{1};
  uint128 bits = 0;
  while (bits >> 127 == 0) {
    multiply(rest, 2);
    bits <<= 1;
    if (!is_less(rest, number)) {
      subtract(rest, number);
      bits |= 1;
    }
  }
  return bits;
}

power_of_five as_words(uint128 bits) {
  return {high_bits(bits), low_bits(bits)};
}

std::array<power_of_five, powers_of_five> make_table() {
  std::array<power_of_five, powers_of_five> table{};
  natural power{1};
  for (int q = 0; q <= -power_of_five_min; ++q, multiply(power, 5)) {
    if (q <= power_of_five_max) table[q - power_of_five_min] = as_words(highest_bits(power));
    // Where a product with it may be exactly half way between two doubles it has to be above.
    if (q > 0) table[-q - power_of_five_min] = as_words(reciprocal(power) + (q <= 27 ? 1 : 0));
  }
  return table;
}

}  // namespace

const std::array<power_of_five, powers_of_five>& power_of_five_table() {
  static const auto table = make_table();
  return table;
}

}  // namespace millrace
