// The stable partition for many shards: a radix sort of (shard, position), then a record's rank is
// how far it stands behind its shard's first.
#include "base/types.h"
#include "gpu/cuda_launch.cuh"
#include "gpu/radix_sort.cuh"
#include "gpu/record_fields.cuh"
#include "gpu/route_kernels.cuh"

namespace millrace {
namespace {

struct sort_policy {
  static constexpr std::uint32_t threads = 256;
};

struct sorted_records {
  const std::uint16_t* shard;
  const std::uint32_t* position;  ///< in the batch
  std::uint32_t count;
};

__global__ void __launch_bounds__(sort_policy::threads)
    find_firsts(sorted_records sorted, std::uint32_t* first) {
  const std::uint32_t i = blockIdx.x * sort_policy::threads + threadIdx.x;
  if (i >= sorted.count) return;
  const std::uint16_t s = sorted.shard[i];
  if (i == 0 || sorted.shard[i - 1] != s) first[s] = i;
}

__global__ void __launch_bounds__(sort_policy::threads)
    write_ranks(device_records records, sorted_records sorted, const std::uint32_t* first,
                partition_output out) {
  const std::uint32_t i = blockIdx.x * sort_policy::threads + threadIdx.x;
  if (i >= sorted.count) return;
  const std::uint16_t s = sorted.shard[i];
  const std::uint32_t position = sorted.position[i];
  const std::uint32_t rank = i - first[s];
  out.rank[position] = rank;
  if (i + 1 == sorted.count || sorted.shard[i + 1] != s) out.shard_records[s] = rank + 1;
  const std::uint32_t stride = read_head(records.bytes + records.offsets[position]).stride();
  atomicAdd(reinterpret_cast<unsigned long long*>(&out.shard_bytes[s]),
            static_cast<unsigned long long>(stride));
}

/// Where things are in the scratch memory; what is left is the sort's own.
struct sort_layout {
  std::size_t positions;
  std::size_t shards_sorted;
  std::size_t firsts;
  std::size_t temporary;

  sort_layout(std::uint32_t records, std::uint32_t shards) {
    positions = 0;
    shards_sorted = align_up(positions + sizeof(std::uint32_t) * records, 256);
    firsts = align_up(shards_sorted + sizeof(std::uint16_t) * records, 256);
    temporary = align_up(firsts + sizeof(std::uint32_t) * shards, 256);
  }
};

}  // namespace

std::size_t sort_scratch_bytes(std::uint32_t records, std::uint32_t shards) {
  return sort_layout(records, shards).temporary + radix_sort_scratch_bytes(records, shards);
}

cudaError_t sort_partition(const device_records& records, const std::uint16_t* shard,
                           const std::uint32_t* ascending, std::uint32_t shards,
                           const partition_output& out, std::byte* scratch,
                           std::size_t scratch_bytes, cudaStream_t stream) {
  const sort_layout layout(records.count, shards);
  auto* const positions = reinterpret_cast<std::uint32_t*>(scratch + layout.positions);
  auto* const sorted_shards = reinterpret_cast<std::uint16_t*>(scratch + layout.shards_sorted);
  auto* const firsts = reinterpret_cast<std::uint32_t*>(scratch + layout.firsts);
  cudaError_t code = cudaMemsetAsync(out.shard_records, 0, sizeof(std::uint32_t) * shards, stream);
  if (code != cudaSuccess) return code;
  code = cudaMemsetAsync(out.shard_bytes, 0, sizeof(std::uint64_t) * shards, stream);
  if (code != cudaSuccess || records.count == 0) return code;
  code = radix_sort({.keys_in = shard,
                     .keys_out = sorted_shards,
                     .values_in = ascending,
                     .values_out = positions,
                     .count = records.count,
                     .keys_end = shards},
                    scratch + layout.temporary, scratch_bytes - layout.temporary, stream);
  if (code != cudaSuccess) return code;
  const sorted_records sorted{sorted_shards, positions, records.count};
  const std::uint32_t blocks = blocks_for(records.count, sort_policy::threads);
  code = launch(find_firsts, blocks, sort_policy::threads, stream, sorted, firsts);
  if (code != cudaSuccess) return code;
  return launch(write_ranks, blocks, sort_policy::threads, stream, records, sorted, firsts, out);
}

}  // namespace millrace
