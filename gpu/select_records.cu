// Which records of a block a view folds: filter, time, and the watermark of the record's shard as
// it was before the record. That is a running maximum over the records of a run, in their order: a
// scan over tiles of the places, started anew where a run starts.
#include "gpu/cuda_launch.cuh"
#include "gpu/device_words.cuh"
#include "gpu/filter.h"
#include "gpu/fold_kernels.cuh"
#include "gpu/window_math.h"

namespace millrace {
namespace {

struct select_policy {
  static constexpr std::uint32_t threads = 256;
  static constexpr std::uint32_t warps = threads / 32;
};

/// What one record brings to the scan.
struct scan_record {
  std::uint32_t run = 0;
  std::int64_t time_us = time_never;
  bool has_time = false;
  bool is_future = false;
  bool is_head = false;  ///< the first of its run
  std::int64_t best = time_never;
};

/// The greatest time of a stretch of places since the last start of a run in it.
struct stretch {
  std::int64_t best;
  std::uint32_t has_head;
};
__device__ inline stretch join(stretch before, stretch after) {
  if (after.has_head == 0 && before.best > after.best) after.best = before.best;
  after.has_head |= before.has_head;
  return after;
}

__device__ inline scan_record read_record(const select_work& work, std::uint32_t place) {
  scan_record one;
  if (place >= work.block.records.count) return one;
  one.run = run_of_place(work.block, place);
  one.is_head = work.block.runs[one.run].place == place;
  if (work.program.time_column < 0) {
    one.time_us = static_cast<std::int64_t>(work.block.arrival_us);
    one.has_time = is_event_time(one.time_us);
  } else {
    const field_value& value =
        work.columns.at(static_cast<std::uint32_t>(work.program.time_column), place);
    one.time_us = static_cast<std::int64_t>(value.bits);
    one.has_time = !value.is_null() && is_event_time(one.time_us);
  }
  one.is_future =
      one.has_time && is_future(one.time_us, work.block.arrival_us, work.program.future_max_us);
  one.best = one.is_head ? work.clocks[one.run].newest_us : time_never;
  if (one.has_time && !one.is_future && one.time_us > one.best) one.best = one.time_us;
  return one;
}

/// The scan within a warp: of all lanes up to this one.
__device__ inline stretch scan_warp(stretch own) {
  const std::uint32_t lane = threadIdx.x % 32;
  for (std::uint32_t step = 1; step < 32; step *= 2) {
    const stretch before{__shfl_up_sync(0xffffffffu, own.best, step),
                         __shfl_up_sync(0xffffffffu, own.has_head, step)};
    if (lane >= step) own = join(before, own);
  }
  return own;
}

__global__ void __launch_bounds__(select_policy::threads)
    scan_tile(const __grid_constant__ select_work work) {
  __shared__ stretch warps[select_policy::warps];
  const std::uint32_t place = blockIdx.x * select_policy::threads + threadIdx.x;
  const scan_record one = read_record(work, place);
  const stretch up_to = scan_warp({one.best, one.is_head ? 1u : 0u});
  if (threadIdx.x % 32 == 31) warps[threadIdx.x / 32] = up_to;
  __syncthreads();
  if (threadIdx.x != 0) return;
  stretch all = warps[0];
  for (std::uint32_t w = 1; w < select_policy::warps; ++w)
    all = join(all, warps[w]);
  work.tile_best[blockIdx.x] = all.best;
  work.tile_heads[blockIdx.x] = all.has_head;
}

/// One warp: each tile's stretch becomes what is before the tile.
__global__ void __launch_bounds__(32) scan_tiles(select_work work, std::uint32_t tiles) {
  const std::uint32_t lane = threadIdx.x;
  stretch carry{time_never, 0};
  for (std::uint32_t from = 0; from < tiles; from += 32) {
    const std::uint32_t tile = from + lane;
    stretch own{time_never, 0};
    if (tile < tiles) own = {work.tile_best[tile], work.tile_heads[tile]};
    const stretch up_to = join(carry, scan_warp(own));
    stretch before{__shfl_up_sync(0xffffffffu, up_to.best, 1u),
                   __shfl_up_sync(0xffffffffu, up_to.has_head, 1u)};
    if (lane == 0) before = carry;
    if (tile < tiles) work.tile_best[tile] = before.best;
    carry = {__shfl_sync(0xffffffffu, up_to.best, 31),
             __shfl_sync(0xffffffffu, up_to.has_head, 31)};
  }
}

enum select_count : std::uint32_t { filtered, no_time, future, nulls, selected, counts_end };

struct tile_storage {
  stretch warps[select_policy::warps];
  std::uint32_t counts[counts_end];
};

__device__ inline void count_flag(tile_storage& storage, select_count which, bool flag) {
  const std::uint32_t flags = __ballot_sync(0xffffffffu, flag);
  if (threadIdx.x % 32 == 0 && flags != 0) atomicAdd(&storage.counts[which], __popc(flags));
}

__device__ inline std::uint32_t count_nulls(const select_work& work, std::uint32_t place) {
  std::uint32_t wrong = 0;
  for (std::uint32_t c = 0; c < work.program.column_count; ++c) {
    const field_value& value = work.columns.at(work.program.columns[c], place);
    wrong += value.state == value_state::wrong_type ? 1u : 0u;
  }
  return wrong;
}

/// The greatest time of the record's run before the record.
__device__ inline std::int64_t newest_before(const select_work& work, tile_storage& storage,
                                             const scan_record& one, std::int64_t& up_to_it) {
  const stretch in_warp = scan_warp({one.best, one.is_head ? 1u : 0u});
  const std::uint32_t warp = threadIdx.x / 32;
  if (threadIdx.x % 32 == 31) storage.warps[warp] = in_warp;
  __syncthreads();
  stretch carry{work.tile_best[blockIdx.x], 0};
  for (std::uint32_t w = 0; w < warp; ++w)
    carry = join(carry, storage.warps[w]);
  const stretch up_to = join(carry, in_warp);
  std::int64_t before = __shfl_up_sync(0xffffffffu, up_to.best, 1u);
  if (threadIdx.x % 32 == 0) before = carry.best;
  up_to_it = up_to.best;
  return one.is_head ? work.clocks[one.run].newest_us : before;
}

/// What becomes of a record.
enum class fate : std::uint32_t { none, filtered, no_time, late, goes_on, goes_on_ahead };

__device__ MILLRACE_NOINLINE bool passes_filter(const select_work& work, std::uint32_t place) {
  return run_filter(work.program.filter, [&](std::uint16_t column) -> const field_value& {
    return work.columns.at(column, place);
  });
}

__device__ inline fate fate_of(const select_work& work, std::uint32_t place, const scan_record& one,
                               std::int64_t watermark) {
  if (place >= work.block.records.count) return fate::none;
  if (work.program.filter != nullptr && !passes_filter(work, place)) return fate::filtered;
  if (!one.has_time) return fate::no_time;
  if (one.time_us < watermark) return fate::late;
  return one.is_future ? fate::goes_on_ahead : fate::goes_on;
}

__device__ inline void note_late(const select_work& work, const device_late& record) {
  const atomic_word at = atomicAdd(as_atomic(&work.counts->late), atomic_word{1});
  work.late[at] = record;
}

/// The newest time of a run, by its last record.
__device__ inline void note_newest(const select_work& work, std::uint32_t place, std::uint32_t run,
                                   std::int64_t newest_us) {
  const bool is_last =
      place + 1 == work.block.records.count ||
      (run + 1 < work.block.run_count && work.block.runs[run + 1].place == place + 1);
  if (is_last) work.newest_us[run] = newest_us;
}

__global__ void __launch_bounds__(select_policy::threads)
    select_tile(const __grid_constant__ select_work work) {
  __shared__ tile_storage storage;
  if (threadIdx.x < counts_end) storage.counts[threadIdx.x] = 0;
  const std::uint32_t place = blockIdx.x * select_policy::threads + threadIdx.x;
  const scan_record one = read_record(work, place);
  std::int64_t newest = time_never;
  const std::int64_t before = newest_before(work, storage, one, newest);  // has a barrier
  const bool is_record = place < work.block.records.count;
  if (is_record) note_newest(work, place, one.run, newest);
  const std::int64_t watermark =
      is_record ? shard_watermark(before, work.clocks[one.run].floor_us, work.program.delay_us)
                : time_never;
  const fate what = fate_of(work, place, one, watermark);
  const bool goes_on = what == fate::goes_on || what == fate::goes_on_ahead;
  if (is_record) work.time_us[place] = goes_on ? one.time_us : time_never;
  if (what == fate::late) note_late(work, {one.time_us, watermark, place, 0});
  count_flag(storage, filtered, what == fate::filtered);
  count_flag(storage, no_time, what == fate::no_time);
  count_flag(storage, future, what == fate::goes_on_ahead);
  count_flag(storage, selected, goes_on);
  const std::uint32_t wrong =
      __reduce_add_sync(0xffffffffu, is_record ? count_nulls(work, place) : 0);
  if (threadIdx.x % 32 == 0 && wrong != 0) atomicAdd(&storage.counts[nulls], wrong);
  __syncthreads();
  if (threadIdx.x != 0) return;
  const auto add = [&](std::uint64_t& to, select_count which) {
    if (storage.counts[which] != 0) {
      atomicAdd(as_atomic(&to), static_cast<atomic_word>(storage.counts[which]));
    }
  };
  add(work.counts->filtered, filtered);
  add(work.counts->no_time, no_time);
  add(work.counts->future, future);
  add(work.counts->nulls, nulls);
  add(work.counts->selected, selected);
}

}  // namespace

std::uint32_t select_tiles(std::uint32_t records) {
  return blocks_for(records, select_policy::threads);
}

cudaError_t select_records(const select_work& work, cudaStream_t stream) {
  const std::uint32_t tiles = select_tiles(work.block.records.count);
  if (tiles == 0) return cudaSuccess;
  cudaError_t code = launch(scan_tile, tiles, select_policy::threads, stream, work);
  if (code == cudaSuccess) code = launch(scan_tiles, 1, 32, stream, work, tiles);
  if (code == cudaSuccess) code = launch(select_tile, tiles, select_policy::threads, stream, work);
  return code;
}

}  // namespace millrace
