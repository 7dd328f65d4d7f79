// A thread a record: its group's row, found or made.
#include "gpu/cuda_launch.cuh"
#include "gpu/fold_kernels.cuh"
#include "gpu/group_lookup.cuh"
#include "gpu/sketch_update.cuh"
#include "gpu/window_math.h"

namespace millrace {
namespace {

struct find_policy {
  static constexpr std::uint32_t threads = 256;
};

/// Where memory is short: true when every sketch of the record has its bin.
__device__ MILLRACE_NOINLINE bool reserve_bins(const group_work& work, std::uint32_t place,
                                               std::uint32_t row) {
  std::uint32_t sketch = 0;
  for (std::uint32_t p = 0; p < work.program.part_count; ++p) {
    const state_part& part = work.program.parts[p];
    if (!is_sketch(part.kind)) continue;
    const sketch_request request = request_of(part, work.columns.at(part.column, place));
    if (request.is_wanted &&
        find_bin(work.tables, make_sketch_key(row, sketch, request.bin)) == nullptr) {
      return false;
    }
    ++sketch;
  }
  return true;
}

/// The row that the record goes to; no_row: it is left out.
__device__ inline std::uint32_t row_of(const group_work& work, std::uint32_t place,
                                       std::int64_t time_us) {
  const device_program& program = work.program;
  const record_key key = read_key(program, work.columns, place);
  if (key.bytes == key_too_long) return no_row;
  const std::int64_t pane_us = pane_start(time_us, program.hop_us, program.offset_us);
  if (!find_pane(work.tables, pane_us, program.size_us)) return no_row;
  const std::uint32_t row = find_group(work.tables, program, pane_us, key);
  if (row == no_row || !program.has_sketches || work.tables.sketches_fit) return row;
  return reserve_bins(work, place, row) ? row : no_row;
}

__global__ void __launch_bounds__(find_policy::threads)
    find_kernel(const __grid_constant__ group_work work) {
  const std::uint32_t place = blockIdx.x * find_policy::threads + threadIdx.x;
  const bool is_record = place < work.block.records.count;
  const std::int64_t time_us = is_record ? work.time_us[place] : time_never;
  const std::uint32_t row = time_us == time_never ? no_row : row_of(work, place, time_us);
  if (is_record) work.row[place] = row;
  __syncwarp();
  const std::uint32_t lost = __ballot_sync(0xffffffffu, time_us != time_never && row == no_row);
  if (threadIdx.x % 32 == 0 && lost != 0) {
    device_words::add(&work.counts->left_out, static_cast<std::uint64_t>(__popc(lost)));
  }
}

}  // namespace

cudaError_t find_groups(const group_work& work, cudaStream_t stream) {
  return launch(find_kernel, blocks_for(work.block.records.count, find_policy::threads),
                find_policy::threads, stream, work);
}

}  // namespace millrace
