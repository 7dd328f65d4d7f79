// The stable partition for few shards. A tile of records is counted by one block: each warp takes a
// stretch of it, 32 records at a time, and finds a record's rank among its warp's by matching
// shards. Sums over warps, then over tiles, make it the rank in the batch.
#include "gpu/cuda_launch.cuh"
#include "gpu/record_fields.cuh"
#include "gpu/route_kernels.cuh"

namespace millrace {
namespace {

struct multisplit_policy {
  static constexpr std::uint32_t threads = 256;
  static constexpr std::uint32_t warps = threads / 32;
  static constexpr std::uint32_t rounds = 8;  ///< of 32 records, a warp
  static constexpr std::uint32_t tile = threads * rounds;
};

struct tile_storage {
  std::uint32_t warp_records[multisplit_policy::warps][multisplit_shards_max];
  unsigned long long shard_bytes[multisplit_shards_max];
};
static_assert(sizeof(tile_storage) <= 48 * 1024, "shared memory of every device");

/// Counts of tiles, shard by shard: [shard * tiles + tile].
struct tile_counts {
  std::uint32_t* records;
  std::uint64_t* bytes;
  std::uint32_t tiles;
};

__global__ void __launch_bounds__(multisplit_policy::threads)
    count_tile(device_records records, const std::uint16_t* shard, std::uint32_t shards,
               tile_counts counts, std::uint32_t* rank) {
  using policy = multisplit_policy;
  __shared__ tile_storage storage;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  for (std::uint32_t s = threadIdx.x; s < shards; s += policy::threads) {
    for (std::uint32_t w = 0; w < policy::warps; ++w)
      storage.warp_records[w][s] = 0;
    storage.shard_bytes[s] = 0;
  }
  __syncthreads();

  const std::uint32_t from = blockIdx.x * policy::tile + warp * policy::rounds * 32;
  std::uint32_t own_rank[policy::rounds];
  std::uint32_t own_shard[policy::rounds];
#pragma unroll
  for (std::uint32_t round = 0; round < policy::rounds; ++round) {
    const std::uint32_t i = from + round * 32 + lane;
    const bool is_record = i < records.count;
    const std::uint32_t s = is_record ? shard[i] : multisplit_shards_max;
    const std::uint32_t stride =
        is_record ? read_head(records.bytes + records.offsets[i]).stride() : 0;
    const std::uint32_t peers = __match_any_sync(0xffffffffu, s);
    const std::uint32_t peer_bytes = __reduce_add_sync(peers, stride);
    const std::uint32_t before = __popc(peers & ((1u << lane) - 1));
    own_shard[round] = s;
    own_rank[round] = is_record ? storage.warp_records[warp][s] + before : 0;
    __syncwarp();
    if (is_record && before == 0) {
      storage.warp_records[warp][s] += __popc(peers);
      atomicAdd(&storage.shard_bytes[s], static_cast<unsigned long long>(peer_bytes));
    }
    __syncwarp();
  }
  __syncthreads();

  // Each warp's count becomes what the warps before it have.
  for (std::uint32_t s = threadIdx.x; s < shards; s += policy::threads) {
    std::uint32_t sum = 0;
    for (std::uint32_t w = 0; w < policy::warps; ++w) {
      const std::uint32_t own = storage.warp_records[w][s];
      storage.warp_records[w][s] = sum;
      sum += own;
    }
    counts.records[s * counts.tiles + blockIdx.x] = sum;
    counts.bytes[s * counts.tiles + blockIdx.x] = storage.shard_bytes[s];
  }
  __syncthreads();
#pragma unroll
  for (std::uint32_t round = 0; round < policy::rounds; ++round) {
    const std::uint32_t i = from + round * 32 + lane;
    if (i < records.count) rank[i] = own_rank[round] + storage.warp_records[warp][own_shard[round]];
  }
}

/// A warp a shard: its tiles' counts become what the tiles before have, and its totals come out.
__global__ void __launch_bounds__(32) sum_tiles(tile_counts counts, partition_output out) {
  const std::uint32_t s = blockIdx.x;
  const std::uint32_t lane = threadIdx.x;
  std::uint32_t records_before = 0;
  std::uint64_t bytes = 0;
  for (std::uint32_t from = 0; from < counts.tiles; from += 32) {
    const std::uint32_t tile = from + lane;
    const bool is_tile = tile < counts.tiles;
    const std::uint32_t own = is_tile ? counts.records[s * counts.tiles + tile] : 0;
    if (is_tile) bytes += counts.bytes[s * counts.tiles + tile];
    std::uint32_t sum = own;
    for (std::uint32_t step = 1; step < 32; step *= 2) {
      const std::uint32_t other = __shfl_up_sync(0xffffffffu, sum, step);
      if (lane >= step) sum += other;
    }
    if (is_tile) counts.records[s * counts.tiles + tile] = records_before + sum - own;
    records_before += __shfl_sync(0xffffffffu, sum, 31);
  }
  for (std::uint32_t step = 16; step > 0; step /= 2)
    bytes += __shfl_down_sync(0xffffffffu, bytes, step);
  if (lane == 0) {
    out.shard_records[s] = records_before;
    out.shard_bytes[s] = bytes;
  }
}

__global__ void __launch_bounds__(multisplit_policy::threads)
    add_tiles_before(const std::uint16_t* shard, std::uint32_t count, tile_counts counts,
                     std::uint32_t* rank) {
  const std::uint32_t i = blockIdx.x * multisplit_policy::threads + threadIdx.x;
  if (i >= count) return;
  rank[i] += counts.records[shard[i] * counts.tiles + i / multisplit_policy::tile];
}

}  // namespace

std::size_t multisplit_scratch_bytes(std::uint32_t records, std::uint32_t shards) {
  return std::size_t{blocks_for(records, multisplit_policy::tile)} * shards *
         (sizeof(std::uint32_t) + sizeof(std::uint64_t));
}

cudaError_t multisplit(const device_records& records, const std::uint16_t* shard,
                       std::uint32_t shards, const partition_output& out, std::byte* scratch,
                       cudaStream_t stream) {
  using policy = multisplit_policy;
  const std::uint32_t tiles = blocks_for(records.count, policy::tile);
  auto* const bytes = reinterpret_cast<std::uint64_t*>(scratch);
  const tile_counts counts{.records = reinterpret_cast<std::uint32_t*>(bytes + tiles * shards),
                           .bytes = bytes,
                           .tiles = tiles};
  cudaError_t code =
      launch(count_tile, tiles, policy::threads, stream, records, shard, shards, counts, out.rank);
  if (code == cudaSuccess) code = launch(sum_tiles, shards, 32, stream, counts, out);
  if (code == cudaSuccess && tiles > 1) {
    code = launch(add_tiles_before, blocks_for(records.count, policy::threads), policy::threads,
                  stream, shard, records.count, counts, out.rank);
  }
  return code;
}

}  // namespace millrace
