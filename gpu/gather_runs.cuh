#pragma once
/// The records of a routed batch by shard, and the CRC32C of each shard's run, made on the device
/// (cuda_options::gathered_batches). All pointers are the device's; nothing allocates, nothing
/// waits.
#include <cstddef>
#include <cstdint>

#include "gpu/route_kernels.cuh"

namespace millrace {

/// Where things lie in what comes down: CRCs, then runs.
struct runs_layout {
  std::uint32_t shards = 0;
  std::uint64_t record_bytes = 0;

  std::size_t crc_at() const { return 0; }
  std::size_t bytes_at() const { return align_up(sizeof(std::uint32_t) * shards, 256); }
  std::size_t total_bytes() const { return bytes_at() + record_bytes; }
};

struct run_gather {
  device_records records;
  std::uint32_t record_bytes;  ///< of all records together
  const std::uint16_t* shard;  ///< as routed
  partition_output routed;
  std::uint32_t shards;
  std::byte* bytes;    ///< out: `record_bytes`
  std::uint32_t* crc;  ///< out: a shard; 0 of one without records
};
cudaError_t gather_runs(const run_gather& work, std::byte* scratch, std::size_t scratch_bytes,
                        cudaStream_t stream);

/// For up to so many records over up to so many shards.
std::size_t gather_runs_scratch_bytes(std::uint32_t records, std::uint32_t shards);

}  // namespace millrace
