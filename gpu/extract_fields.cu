// A thread a record, over the function that the CPU's tests cover.
#include "gpu/cuda_launch.cuh"
#include "gpu/extract_kernels.cuh"
#include "gpu/extract_record.h"

namespace millrace {
namespace {

struct extract_policy {
  static constexpr std::uint32_t threads = 128;
};

__global__ void __launch_bounds__(extract_policy::threads)
    extract_kernel(fold_records block, extract_program program, device_columns out) {
  const std::uint32_t i = blockIdx.x * extract_policy::threads + threadIdx.x;
  if (i >= block.records.count) return;
  const std::uint32_t place = place_of_record(block, i);
  extract_record(program, input_of(block, i, place), out.values + place, out.stride);
}

}  // namespace

cudaError_t extract_fields(const fold_records& block, const extract_program& program,
                           const device_columns& out, cudaStream_t stream) {
  return launch(extract_kernel, blocks_for(block.records.count, extract_policy::threads),
                extract_policy::threads, stream, block, program, out);
}

}  // namespace millrace
