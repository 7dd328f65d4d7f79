// Whole runs on the device: where each record goes is a sum over the strides of those before it by
// (shard, rank); CUB copies; then every thread sums up one piece of what lies there, which ends at
// the end of a run or in its middle, and adds it to its run's CRC32C shifted by what follows.
#include <algorithm>

#include "base/types.h"
#include "gpu/batched_copy.cuh"
#include "gpu/crc32c_shift.h"
#include "gpu/cuda_launch.cuh"
#include "gpu/gather_runs.cuh"
#include "gpu/record_fields.cuh"

namespace millrace {
namespace {

struct place_policy {
  static constexpr std::uint32_t threads = 256;
};
struct crc_policy {
  static constexpr std::uint32_t threads = 256;
  static constexpr std::uint32_t piece_bytes = 512;
};
static_assert(crc_policy::threads == 256, "a thread an entry of a table");

/// Where things are in the scratch memory; what is left is CUB's.
struct gather_layout {
  std::size_t sources, destinations, sizes, at, first, temporary;

  gather_layout(std::uint32_t records, std::uint32_t shards) {
    sources = 0;
    destinations = align_up(sources + sizeof(std::byte*) * records, 256);
    sizes = align_up(destinations + sizeof(std::byte*) * records, 256);
    at = align_up(sizes + sizeof(std::uint32_t) * records, 256);
    first = align_up(at + sizeof(std::uint32_t) * records, 256);
    temporary = align_up(first + sizeof(std::uint32_t) * shards, 256);
  }
};

/// By place: the order of (shard, rank).
__global__ void __launch_bounds__(place_policy::threads)
    place_records(run_gather work, const std::uint32_t* first, const std::byte** sources,
                  std::uint32_t* sizes) {
  const std::uint32_t i = blockIdx.x * place_policy::threads + threadIdx.x;
  if (i >= work.records.count) return;
  const std::byte* const record = work.records.bytes + work.records.offsets[i];
  const std::uint32_t place = first[work.shard[i]] + work.routed.rank[i];
  sources[place] = record;
  sizes[place] = read_head(record).stride();
}

__global__ void __launch_bounds__(place_policy::threads)
    point_destinations(std::byte* bytes, const std::uint32_t* at, std::uint32_t count,
                       std::byte** destinations) {
  const std::uint32_t place = blockIdx.x * place_policy::threads + threadIdx.x;
  if (place < count) destinations[place] = bytes + at[place];
}

/// Where runs lie.
struct run_places {
  const std::uint32_t* first;  ///< a shard: its first record's place
  const std::uint32_t* at;     ///< a place: its record's first byte
  std::uint32_t shards;
  std::uint32_t records;
  std::uint32_t record_bytes;

  MILLRACE_HOST_DEVICE std::uint32_t start(std::uint32_t s) const {
    return s >= shards || first[s] >= records ? record_bytes : at[first[s]];
  }
  /// The run that has the byte: of those that start there, the last, because it is not empty.
  MILLRACE_HOST_DEVICE std::uint32_t find(std::uint32_t byte) const {
    std::uint32_t low = 0;
    for (std::uint32_t high = shards; high - low > 1;) {
      const std::uint32_t middle = low + (high - low) / 2;
      if (start(middle) <= byte) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

/// Eight tables: [k][b] is what byte b contributes once k more bytes have gone by.
using crc_tables = std::uint32_t[8][256];

__device__ void fill_tables(crc_tables& tables) {
  const std::uint32_t own = threadIdx.x;
  std::uint32_t value = own;
  for (int bit = 0; bit < 8; ++bit)
    value = (value >> 1) ^ ((value & 1) != 0 ? crc32c_polynomial : 0);
  tables[0][own] = value;
  __syncthreads();
  for (int k = 1; k < 8; ++k) {
    value = tables[0][value & 0xff] ^ (value >> 8);
    tables[k][own] = value;
  }
  __syncthreads();
}

__device__ std::uint32_t crc_of(const crc_tables& tables, const std::byte* from,
                                const std::byte* to) {
  std::uint32_t state = ~0u;
  for (; from != to; from += 8) {
    const std::uint64_t word = *reinterpret_cast<const std::uint64_t*>(from) ^ state;
    state = 0;
#pragma unroll
    for (int k = 0; k < 8; ++k)
      state ^= tables[7 - k][word >> (8 * k) & 0xff];
  }
  return ~state;
}

__global__ void __launch_bounds__(crc_policy::threads)
    add_pieces(const std::byte* bytes, run_places runs, crc32c_powers powers, std::uint32_t* crc) {
  __shared__ crc_tables tables;
  fill_tables(tables);
  const std::uint32_t from =
      (blockIdx.x * crc_policy::threads + threadIdx.x) * crc_policy::piece_bytes;
  if (from >= runs.record_bytes) return;
  const std::uint32_t to = from + crc_policy::piece_bytes < runs.record_bytes
                               ? from + crc_policy::piece_bytes
                               : runs.record_bytes;
  std::uint32_t run = runs.find(from);
  for (std::uint32_t at = from; at < to; ++run) {
    const std::uint32_t run_end = runs.start(run + 1);
    const std::uint32_t end = run_end < to ? run_end : to;
    if (end == at) continue;  // a run without records
    const std::uint32_t own = crc_of(tables, bytes + at, bytes + end);
    atomicXor(&crc[run], crc32c_shift(own, (run_end - end) / 8, powers));
    at = end;
  }
}

}  // namespace

std::size_t gather_runs_scratch_bytes(std::uint32_t records, std::uint32_t shards) {
  return gather_layout(records, shards).temporary +
         batched_copy_scratch_bytes(std::max(records, shards));
}

cudaError_t gather_runs(const run_gather& work, std::byte* scratch, std::size_t scratch_bytes,
                        cudaStream_t stream) {
  cudaError_t code = cudaMemsetAsync(work.crc, 0, sizeof(std::uint32_t) * work.shards, stream);
  const std::uint32_t records = work.records.count;
  if (code != cudaSuccess || records == 0) return code;
  const gather_layout layout(records, work.shards);
  auto* const sources = reinterpret_cast<const std::byte**>(scratch + layout.sources);
  auto* const destinations = reinterpret_cast<std::byte**>(scratch + layout.destinations);
  auto* const sizes = reinterpret_cast<std::uint32_t*>(scratch + layout.sizes);
  auto* const at = reinterpret_cast<std::uint32_t*>(scratch + layout.at);
  auto* const first = reinterpret_cast<std::uint32_t*>(scratch + layout.first);
  std::byte* const rest = scratch + layout.temporary;
  const std::size_t rest_bytes = scratch_bytes - layout.temporary;
  const std::uint32_t blocks = blocks_for(records, place_policy::threads);

  code = sum_before(work.routed.shard_records, first, work.shards, rest, rest_bytes, stream);
  if (code != cudaSuccess) return code;
  code = launch(place_records, blocks, place_policy::threads, stream, work, first, sources, sizes);
  if (code != cudaSuccess) return code;
  code = sum_before(sizes, at, records, rest, rest_bytes, stream);
  if (code != cudaSuccess) return code;
  code = launch(point_destinations, blocks, place_policy::threads, stream, work.bytes, at, records,
                destinations);
  if (code != cudaSuccess) return code;
  code = batched_copy({sources, destinations, sizes, records}, rest, rest_bytes, stream);
  if (code != cudaSuccess) return code;
  const run_places runs{.first = first,
                        .at = at,
                        .shards = work.shards,
                        .records = records,
                        .record_bytes = work.record_bytes};
  return launch(add_pieces,
                blocks_for(work.record_bytes, crc_policy::threads * crc_policy::piece_bytes),
                crc_policy::threads, stream, work.bytes, runs, crc32c_powers::make(), work.crc);
}

}  // namespace millrace
