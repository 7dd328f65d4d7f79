// first and last: a thread a record. The lanes of a group agree upon one before it meets the
// group's row.
#include "gpu/cuda_launch.cuh"
#include "gpu/fold_kernels.cuh"
#include "gpu/group_lookup.cuh"
#include "gpu/warp_peers.cuh"

namespace millrace {
namespace {

struct place_policy {
  static constexpr std::uint32_t threads = 256;
};

constexpr std::uint32_t all_lanes = 0xffffffffu;

/// Four words at once, so the row is locked, but only for a record that may win.
__device__ inline void take_place_in_row(part_kind kind, std::uint64_t* row, std::uint64_t* at,
                                         const std::uint64_t* own) {
  const std::uint64_t time = load_now(at);
  if (kind == part_kind::first ? own[0] > time : own[0] < time) return;
  for (;;) {
    if (atomicCAS(lock_at(row), 0u, 1u) != 0) continue;
    __threadfence();
    std::uint64_t there[4];
    for (int i = 0; i < 4; ++i)
      there[i] = load_now(at + i);
    take_place(kind, there, own);
    for (int i = 0; i < 4; ++i)
      store_now(at + i, there[i]);
    __threadfence();
    atomicExch(lock_at(row), 0u);
    return;
  }
}

__device__ inline void fold_place(const warp_peers& peers, part_kind kind, std::uint64_t* own,
                                  std::uint64_t* row, std::uint64_t* at) {
  peers.join([&](int lane, bool takes) {
    std::uint64_t other[4];
    for (int i = 0; i < 4; ++i)
      other[i] = __shfl_sync(all_lanes, own[i], lane);
    if (takes) take_place(kind, own, other);
  });
  if (at != nullptr) take_place_in_row(kind, row, at, own);
}

/// The words of the record's value, or those that lose against all others.
__device__ inline void read_place(const group_work& work, const state_part& part,
                                  std::uint32_t place, bool is_in, std::uint64_t* own) {
  for (int i = 0; i < 4; ++i)
    own[i] = empty_word(part.kind);
  if (!is_in) return;
  const field_value& value = work.columns.at(part.column, place);
  if (value.is_null()) return;
  const device_run run = work.block.runs[run_of_place(work.block, place)];
  place_words({work.time_us[place], run.shard, run.first + (place - run.place)}, value.bits, own);
}

__global__ void __launch_bounds__(place_policy::threads)
    place_kernel(const __grid_constant__ group_work work) {
  const std::uint32_t place = blockIdx.x * place_policy::threads + threadIdx.x;
  const std::uint32_t row = place < work.block.records.count ? work.row[place] : no_row;
  const bool is_in = row != no_row;
  const warp_peers peers(row, is_in);
  for (std::uint32_t p = 0; p < work.program.part_count; ++p) {
    const state_part& part = work.program.parts[p];
    if (!is_place(part.kind)) continue;
    std::uint64_t own[4];
    read_place(work, part, place, is_in, own);
    fold_place(peers, part.kind, own, peers.leads() ? row_at(work.tables, row) : nullptr,
               peers.leads() ? state_at(work.tables, row) + part.word : nullptr);
    __syncwarp();
  }
}

}  // namespace

cudaError_t fold_places(const group_work& work, cudaStream_t stream) {
  if (!work.program.has_places) return cudaSuccess;
  return launch(place_kernel, blocks_for(work.block.records.count, place_policy::threads),
                place_policy::threads, stream, work);
}

}  // namespace millrace
