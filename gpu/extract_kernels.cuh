#pragma once
/// Fields out of the records of a batch that is on the device.
#include <cstddef>
#include <cstdint>

#include <cuda_runtime.h>

#include "gpu/extract_program.h"
#include "gpu/route_kernels.cuh"

namespace millrace {

/// What the log knows of a shard's records in the batch.
struct device_run {
  std::uint32_t shard;  ///< shard_index, not the map's ordinal
  std::uint32_t reserved;
  std::uint64_t first;  ///< index of the batch's first record in it
};

/// A routed batch as extraction reads it.
struct extract_batch {
  device_records records;
  const std::uint16_t* shard;  ///< by record: the map's ordinal
  const std::uint32_t* rank;   ///< by record
  const device_run* runs;      ///< by ordinal
  std::uint64_t arrival_us;
};

/// Field f of record i, in batch order, goes to out[f * stride + i], the same that extract_record()
/// gives on the CPU; the address of a text is the device's. `program` has its tables on the device.
cudaError_t extract_fields(const extract_batch& batch, const extract_program& program,
                           field_value* out, std::size_t stride, cudaStream_t stream);

}  // namespace millrace
