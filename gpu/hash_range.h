#pragma once
/// Which range of the 128-bit hash space holds a hash key: a table by its top bits, then a search
/// without branches among the ranges that the table leaves.
#include <cstdint>

#include "base/types.h"
#include "gpu/host_device.h"

namespace millrace {

/// The arrays of a shard_map. Non-owning; on a GPU the pointers are the device's.
struct hash_ranges {
  const uint128* starts;              ///< ascending, the first 0
  const std::uint16_t* bucket_first;  ///< 2^bucket_bits + 1: the range of each bucket's first
                                      ///< point, and last the last range
  std::uint32_t bucket_bits;          ///< 8 to 16
  std::uint32_t search_steps;         ///< halvings that suffice in any bucket
};

/// The ordinal of the range that holds `hash_key`.
MILLRACE_HOST_DEVICE inline std::uint32_t find_range(const hash_ranges& ranges, uint128 hash_key) {
  const auto bucket = static_cast<std::uint32_t>(hash_key >> (128 - ranges.bucket_bits));
  std::uint32_t low = ranges.bucket_first[bucket];
  std::uint32_t count = ranges.bucket_first[bucket + 1] - low + 1;
  for (std::uint32_t step = 0; step < ranges.search_steps; ++step) {
    const std::uint32_t half = count / 2;
    low += ranges.starts[low + half] <= hash_key ? half : 0;
    count -= half;
  }
  return low;
}

}  // namespace millrace
