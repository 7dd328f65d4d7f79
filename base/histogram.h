#pragma once
/// Counts values in buckets of under 1.6 % width, from 0 to 2^40: latencies in microseconds, say.
/// The scheme of HdrHistogram: a power of two for each magnitude, 64 equal steps in each.
#include <array>
#include <atomic>
#include <cstdint>

namespace millrace {

/// One thread adds, any thread reads. 19 KiB; add() allocates nothing.
class histogram {
 public:
  void add(std::uint64_t value) noexcept {
    auto& cell = buckets_[bucket_of(value)];
    cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (value > max_.load(std::memory_order_relaxed)) max_.store(value, std::memory_order_relaxed);
  }

  std::uint64_t count() const noexcept;
  std::uint64_t max() const noexcept { return max_.load(std::memory_order_relaxed); }
  /// The smallest bucket's upper end that at least this part of all values (0 to 1) do not exceed;
  /// never above max(). 0 when empty.
  std::uint64_t quantile(double part) const noexcept;

 private:
  static constexpr std::uint32_t step_bits = 6;
  static constexpr std::uint32_t value_bits_max = 40;
  static constexpr std::uint32_t bucket_count = (value_bits_max - step_bits + 1) << step_bits;

  static std::uint32_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t upper_end(std::uint32_t bucket) noexcept;

  std::array<std::atomic<std::uint64_t>, bucket_count> buckets_{};
  std::atomic<std::uint64_t> max_{0};
};

}  // namespace millrace
