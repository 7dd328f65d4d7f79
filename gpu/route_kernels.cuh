#pragma once
/// The steps of routing on a device, each a launcher beside its kernels. All pointers are the
/// device's; nothing allocates, nothing waits. The stream is always the last argument.
#include <cstddef>
#include <cstdint>

#include <cuda_runtime.h>

#include "gpu/hash_range.h"

namespace millrace {

/// Records in one piece of device memory, each at a multiple of 8.
struct device_records {
  const std::byte* bytes;
  const std::uint32_t* offsets;  ///< of each record, from `bytes`
  std::uint32_t count;
};

/// What a partition gives, as in route_job.
struct partition_output {
  std::uint32_t* rank;           ///< a record
  std::uint32_t* shard_records;  ///< a shard
  std::uint64_t* shard_bytes;
};

/// md5_keys.cu: shard[i] = the range of record i's hash key.
cudaError_t find_shards(const device_records& records, const hash_ranges& ranges,
                        std::uint16_t* shard, cudaStream_t stream);

/// multisplit.cu: ranks by counting, for up to multisplit_shards_max shards. `scratch` has
/// multisplit_scratch_bytes(records, shards), for the most that will be asked.
inline constexpr std::uint32_t multisplit_shards_max = 256;
std::size_t multisplit_scratch_bytes(std::uint32_t records, std::uint32_t shards);
cudaError_t multisplit(const device_records& records, const std::uint16_t* shard,
                       std::uint32_t shards, const partition_output& out, std::byte* scratch,
                       cudaStream_t stream);

/// sort_partition.cu: ranks by a stable radix sort, for any number of shards. `ascending` is 0, 1,
/// 2, … for every record.
std::size_t sort_scratch_bytes(std::uint32_t records, std::uint32_t shards);
cudaError_t sort_partition(const device_records& records, const std::uint16_t* shard,
                           const std::uint32_t* ascending, std::uint32_t shards,
                           const partition_output& out, std::byte* scratch,
                           std::size_t scratch_bytes, cudaStream_t stream);

/// gather_records.cu: copies each record from where it lies in pinned host memory (at any address)
/// to bytes + offsets[i], by loads of the device over the bus.
cudaError_t gather_records(const std::byte* const* sources, const std::uint32_t* offsets,
                           std::uint32_t count, std::byte* bytes, cudaStream_t stream);

}  // namespace millrace
