#pragma once
/// The steps of folding one view's records on a device, each a launcher beside its kernels. All
/// pointers are the device's; nothing allocates, nothing waits.
#include <cstdint>

#include <cuda_runtime.h>

#include "gpu/device_tables.h"
#include "gpu/fold.h"
#include "gpu/fold_device_program.cuh"
#include "gpu/fold_records.cuh"

namespace millrace {

/// What a block did to one view: fold_counts, as the device counts them.
struct device_counts {
  std::uint64_t filtered;
  std::uint64_t late;
  std::uint64_t no_time;
  std::uint64_t future;
  std::uint64_t nulls;
  std::uint64_t selected;  ///< that go on to their groups
  std::uint64_t left_out;
};

/// A late record, in any order.
struct device_late {
  std::int64_t time_us;
  std::int64_t watermark_us;
  std::uint32_t place;
  std::uint32_t reserved;
};

/// Which records go on, by the rules of docs/decisions/0002-windows.md.
struct select_work {
  fold_records block;
  device_columns columns;
  device_program program;
  const shard_clock* clocks;  ///< a run: before the block
  std::int64_t* newest_us;    ///< a run: after the block
  std::int64_t* time_us;      ///< a place: its time when it goes on, time_never when not
  std::int64_t* tile_best;    ///< select_tiles() of them: scratch
  std::uint32_t* tile_heads;  ///< the same
  device_late* late;          ///< as many as there are records
  device_counts* counts;      ///< zero before
};
std::uint32_t select_tiles(std::uint32_t records);
/// select_records.cu
cudaError_t select_records(const select_work& work, cudaStream_t stream);

/// The records that go on, into their groups, step by step.
struct group_work {
  fold_records block;
  device_columns columns;
  device_program program;
  const std::int64_t* time_us;
  std::uint32_t* row;  ///< a place: of its group, or no_row
  device_tables tables;
  device_counts* counts;
};
/// find_groups.cu: finds or makes the rows; a record that has no room is left out and counted.
cudaError_t find_groups(const group_work& work, cudaStream_t stream);
/// fold_groups.cu: counts, sums, least and greatest values into the rows.
cudaError_t fold_groups(const group_work& work, cudaStream_t stream);
/// fold_places.cu: first and last.
cudaError_t fold_places(const group_work& work, cudaStream_t stream);
/// fold_sketches.cu
cudaError_t fold_sketches(const group_work& work, cudaStream_t stream);

}  // namespace millrace
