#pragma once
/// Sums whose order does not matter, made of 64-bit words that a device can update with atomics.
///
/// Integers: two's complement of 128 bits, exact. With atomics: old = add(low, x), then
/// add(high, carry_into_high(old, x)).
///
/// Doubles: the rounded sum and, beside it, the sum of what the roundings lost (Knuth's TwoSum: the
/// loss of one addition is itself a double). With atomics: old = add(sum, x), then
/// add(lost, rounding_loss(old, x)). Whatever the order, sum + lost is within 2e-16 of the true sum
/// relative to the sum of magnitudes, as long as fewer than 1e15 values go in. A sum that passes
/// the range of doubles on the way is infinite or NaN. None of this survives fused multiply-adds or
/// reassociation: -ffp-contract=off, nvcc -fmad=false.
#include <cstdint>

#include "gpu/host_device.h"
#include "gpu/ordered_bits.h"

namespace millrace {

MILLRACE_HOST_DEVICE inline std::uint64_t carry_into_high(std::uint64_t old_low, std::int64_t x) {
  const std::uint64_t sum = old_low + static_cast<std::uint64_t>(x);
  return static_cast<std::uint64_t>(x >> 63) + (sum < old_low ? 1u : 0u);
}

MILLRACE_HOST_DEVICE inline double rounding_loss(double a, double b) {
  const double sum = a + b;
  if (is_nan_bits(bits_of(sum)) || (bits_of(sum) & ~sign_bit) == infinity_bits) return 0;
  const double b_seen = sum - a;
  const double a_seen = sum - b_seen;
  return (a - a_seen) + (b - b_seen);
}

/// a * b as the rounded product and what the rounding lost.
struct exact_double {
  double rounded;
  double lost;
};
/// A double as two of at most 26 bits (Veltkamp's split).
MILLRACE_HOST_DEVICE inline exact_double split_of(double x) {
  const double scaled = x * 134217729.0;
  const double high = scaled - (scaled - x);
  return {high, x - high};
}
/// Dekker's product. Splitting needs room above and the loss room below: outside, the loss is 0.
MILLRACE_HOST_DEVICE inline exact_double product_of(double a, double b) {
  const double product = a * b;
  const double a_size = a < 0 ? -a : a;
  const double b_size = b < 0 ? -b : b;
  const double size = product < 0 ? -product : product;
  if (!(a_size < 0x1p900 && b_size < 0x1p900 && size < 0x1p1000 && size > 0x1p-900)) {
    return {product, 0};
  }
  const exact_double x = split_of(a);
  const exact_double y = split_of(b);
  return {product, ((x.rounded * y.rounded - product) + x.rounded * y.lost + x.lost * y.rounded) +
                       x.lost * y.lost};
}

/// A 128-bit sum as a double: the same on both sides, within 2 roundings.
MILLRACE_HOST_DEVICE inline double sum_as_double(std::uint64_t low, std::uint64_t high) {
  const bool negative = (high & sign_bit) != 0;
  if (negative) {
    low = ~low + 1;
    high = ~high + (low == 0 ? 1 : 0);
  }
  const double size = static_cast<double>(high) * 18446744073709551616.0 + static_cast<double>(low);
  return negative ? -size : size;
}

/// Sum of the squares of deviations from the mean, Σx² - (Σx)²/n, from sums given as rounded part
/// and loss. Both parts are carried throughout, so that deviations of 1e-12 of the mean still show.
/// Never negative; NaN where a sum is not finite.
MILLRACE_HOST_DEVICE inline double squared_deviations(double sum, double sum_lost, double squares,
                                                      double squares_lost, double n) {
  const double mean = (sum + sum_lost) / n;
  // With Σx = n·mean + rest, Σx² - (Σx)²/n is Σx² - n·mean² - 2·mean·rest - rest²/n.
  const exact_double total = product_of(n, mean);
  const double rest = ((sum - total.rounded) + sum_lost) - total.lost;
  const exact_double mean_squared = product_of(mean, mean);
  const exact_double main = product_of(n, mean_squared.rounded);
  const double main_lost = main.lost + n * mean_squared.lost;
  const double left = squares - main.rounded;
  const double left_lost = rounding_loss(squares, -main.rounded);
  const double result =
      left + (((left_lost + squares_lost) - main_lost) - 2 * mean * rest - rest * rest / n);
  return result < 0 ? 0 : result;
}

}  // namespace millrace
