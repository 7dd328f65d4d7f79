// A thread a record, over the function that the CPU's tests cover.
#include "gpu/cuda_launch.cuh"
#include "gpu/extract_kernels.cuh"
#include "gpu/extract_record.h"
#include "gpu/record_fields.cuh"

namespace millrace {
namespace {

struct extract_policy {
  static constexpr std::uint32_t threads = 128;
};

__global__ void __launch_bounds__(extract_policy::threads)
    extract_kernel(extract_batch batch, extract_program program, field_value* out,
                   std::size_t stride) {
  const std::uint32_t i = blockIdx.x * extract_policy::threads + threadIdx.x;
  if (i >= batch.records.count) return;
  const std::byte* const bytes = batch.records.bytes + batch.records.offsets[i];
  const device_run run = batch.runs[batch.shard[i]];
  const record_input record{.bytes = bytes,
                            .arrival_us = batch.arrival_us,
                            .number = run.first + batch.rank[i],
                            .shard = run.shard,
                            .stride = read_head(bytes).stride()};
  extract_record(program, record, out + i, stride);
}

}  // namespace

cudaError_t extract_fields(const extract_batch& batch, const extract_program& program,
                           field_value* out, std::size_t stride, cudaStream_t stream) {
  return launch(extract_kernel, blocks_for(batch.records.count, extract_policy::threads),
                extract_policy::threads, stream, batch, program, out, stride);
}

}  // namespace millrace
