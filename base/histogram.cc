#include "base/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace millrace {

/// Values below 64 have a bucket each; above, the magnitude and the 6 bits after the leading one.
std::uint32_t histogram::bucket_of(std::uint64_t value) noexcept {
  value = std::min(value, (std::uint64_t{1} << value_bits_max) - 1);
  const auto bits = static_cast<std::uint32_t>(std::bit_width(value));
  if (bits <= step_bits) return static_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits - step_bits;  // from 1
  const auto step = static_cast<std::uint32_t>(value >> (magnitude - 1)) & ((1u << step_bits) - 1);
  return (magnitude << step_bits) + step;
}

std::uint64_t histogram::upper_end(std::uint32_t bucket) noexcept {
  const std::uint32_t magnitude = bucket >> step_bits;
  if (magnitude == 0) return bucket;
  const std::uint64_t step = bucket & ((1u << step_bits) - 1);
  const std::uint64_t low = ((std::uint64_t{1} << step_bits) + step) << (magnitude - 1);
  return low + (std::uint64_t{1} << (magnitude - 1)) - 1;
}

std::uint64_t histogram::count() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& cell : buckets_)
    sum += cell.load(std::memory_order_relaxed);
  return sum;
}

std::uint64_t histogram::quantile(double part) const noexcept {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(total))));
  std::uint64_t seen = 0;
  for (std::uint32_t bucket = 0; bucket < bucket_count; ++bucket) {
    seen += buckets_[bucket].load(std::memory_order_relaxed);
    if (seen >= wanted) return std::min(upper_end(bucket), max());
  }
  return max();
}

}  // namespace millrace
