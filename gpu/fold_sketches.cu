// A thread a record, one sketch after another. Records of a warp that ask the same bin of a group
// are counted together; registers are mostly as high already, and read before they are changed.
#include "gpu/cuda_launch.cuh"
#include "gpu/fold_kernels.cuh"
#include "gpu/sketch_update.cuh"

namespace millrace {
namespace {

struct sketch_policy {
  static constexpr std::uint32_t threads = 256;
};

__device__ inline void fold_sketch(const group_work& work, const state_part& part,
                                   std::uint32_t sketch, std::uint32_t place, std::uint32_t row) {
  const sketch_request request =
      row == no_row ? sketch_request{} : request_of(part, work.columns.at(part.column, place));
  const std::uint64_t key = request.is_wanted ? make_sketch_key(row, sketch, request.bin) : 0;
  if (part.kind == part_kind::distinct) {
    if (key != 0) raise_register(find_bin(work.tables, key), request.registers);
    return;
  }
  const std::uint32_t same = __match_any_sync(0xffffffffu, key);
  if (key == 0 || (same & ((1u << threadIdx.x % 32) - 1)) != 0) return;
  device_words::add(find_bin(work.tables, key), static_cast<std::uint64_t>(__popc(same)));
}

__global__ void __launch_bounds__(sketch_policy::threads)
    sketch_kernel(const __grid_constant__ group_work work) {
  const std::uint32_t place = blockIdx.x * sketch_policy::threads + threadIdx.x;
  const std::uint32_t row = place < work.block.records.count ? work.row[place] : no_row;
  std::uint32_t sketch = 0;
  for (std::uint32_t p = 0; p < work.program.part_count; ++p) {
    const state_part& part = work.program.parts[p];
    if (is_sketch(part.kind)) fold_sketch(work, part, sketch++, place, row);
    __syncwarp();
  }
}

}  // namespace

cudaError_t fold_sketches(const group_work& work, cudaStream_t stream) {
  if (!work.program.has_sketches) return cudaSuccess;
  return launch(sketch_kernel, blocks_for(work.block.records.count, sketch_policy::threads),
                sketch_policy::threads, stream, work);
}

}  // namespace millrace
