#pragma once
/// A block's records as the kernels of folding see them, wherever they came from: sent run after
/// run by a fold, or left on the device by routing, in the order of the batch.
///
/// A record's *place* is its number in the block when its runs lie one after another: the order in
/// which a shard's clock sees records. Extracted columns are in the order of places.
#include <cstddef>
#include <cstdint>

#include "gpu/extract_program.h"
#include "gpu/record_fields.cuh"
#include "gpu/route_kernels.cuh"

namespace millrace {

/// What the log knows of a shard's records in the block.
struct device_run {
  std::uint64_t first;  ///< index of the run's first record in its shard
  std::uint32_t shard;  ///< shard_index, not the map's ordinal
  std::uint32_t place;  ///< of its first record
};

struct fold_records {
  device_records records;
  const device_run* runs;  ///< by place
  std::uint32_t run_count;
  std::uint64_t arrival_us;
  // Of a routed batch; null where records lie in the order of their places.
  const std::uint16_t* shard;  ///< by record: the map's ordinal
  const std::uint32_t* rank;   ///< by record: its number in its run
  const std::uint16_t* run_of_ordinal;
};

/// Which run has the place.
__device__ inline std::uint32_t run_of_place(const fold_records& block, std::uint32_t place) {
  std::uint32_t low = 0;
  std::uint32_t high = block.run_count;
  while (high - low > 1) {
    const std::uint32_t middle = (low + high) / 2;
    if (block.runs[middle].place <= place) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/// The place of record `i` as it lies.
__device__ inline std::uint32_t place_of_record(const fold_records& block, std::uint32_t i) {
  if (block.shard == nullptr) return i;
  return block.runs[block.run_of_ordinal[block.shard[i]]].place + block.rank[i];
}

/// Record `i` as it lies, whose place is known.
__device__ inline record_input input_of(const fold_records& block, std::uint32_t i,
                                        std::uint32_t place) {
  const std::byte* const bytes = block.records.bytes + block.records.offsets[i];
  const device_run run = block.runs[run_of_place(block, place)];
  return {.bytes = bytes,
          .arrival_us = block.arrival_us,
          .number = run.first + (place - run.place),
          .shard = run.shard,
          .stride = read_head(bytes).stride()};
}

/// Extracted fields: field f of the record at a place is values[f * stride + place].
struct device_columns {
  field_value* values;
  std::size_t stride;

  __device__ const field_value& at(std::uint32_t column, std::uint32_t place) const {
    return values[column * stride + place];
  }
};

}  // namespace millrace
