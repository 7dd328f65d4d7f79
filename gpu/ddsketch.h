#pragma once
/// Quantiles from counts in bins of nearly constant relative width (the idea of DDSketch, by
/// C. Masson and others, VLDB 2019). A bin is the sign, the exponent and the first six bits of the
/// mantissa of a double: no logarithm, the same on both sides, exact to merge. Any value of a bin
/// is within 1 / 128 (0.79 %) of its middle.
///
/// Zero and what is closer to it than 2^-1022 have one bin; infinities have one each; NaN is left
/// out, as nulls are. Integers count as their doubles.
#include <cstdint>

#include "gpu/host_device.h"
#include "gpu/ordered_bits.h"

namespace millrace {

inline constexpr std::uint32_t dds_mantissa_bits = 6;
inline constexpr std::uint32_t dds_shift = 52 - dds_mantissa_bits;
/// Bins are numbered in the order of their values: zero's is dds_zero, below it the negative ones.
inline constexpr std::uint32_t dds_zero = 1u << (11 + dds_mantissa_bits);
inline constexpr std::uint32_t dds_bins = 2 * dds_zero;

/// `bits` of a double that is no NaN.
MILLRACE_HOST_DEVICE inline std::uint32_t dds_bin(std::uint64_t bits) {
  const auto size = static_cast<std::uint32_t>((bits & ~sign_bit) >> dds_shift);
  // Exponent 0: zero and the subnormal numbers.
  if (size < 1u << dds_mantissa_bits) return dds_zero;
  return (bits & sign_bit) != 0 ? dds_zero - size : dds_zero + size;
}

/// The bits of the double in a bin's middle.
MILLRACE_HOST_DEVICE inline std::uint64_t dds_middle(std::uint32_t bin) {
  if (bin == dds_zero) return 0;
  const bool negative = bin < dds_zero;
  const std::uint64_t size = negative ? dds_zero - bin : bin - dds_zero;
  std::uint64_t bits = size << dds_shift;
  if (bits < infinity_bits) bits |= 1ull << (dds_shift - 1);
  return negative ? bits | sign_bit : bits;
}

/// Which of `count` values in order, from 0, is the quantile: floor(quantile * (count - 1)).
MILLRACE_HOST_DEVICE inline std::uint64_t dds_rank(double quantile, std::uint64_t count) {
  const auto rank = static_cast<std::uint64_t>(quantile * static_cast<double>(count - 1));
  return rank < count ? rank : count - 1;
}

}  // namespace millrace
