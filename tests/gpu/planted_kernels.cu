#include "gpu/cuda_launch.cuh"
#include "gpu/cuda_memory.cuh"
#include "tests/gpu/planted_kernels.h"

namespace millrace {
namespace {

constexpr std::uint32_t threads = 64;

__global__ void reverse(bool has_barrier, std::uint32_t* out) {
  __shared__ std::uint32_t items[threads];
  const std::uint32_t from = blockIdx.x * threads;
  items[threadIdx.x] = out[from + threadIdx.x];
  if (has_barrier) __syncthreads();
  out[from + threadIdx.x] = items[threads - 1 - threadIdx.x];
}

__global__ void count(bool is_atomic, std::uint32_t* out) {
  if (is_atomic)
    atomicAdd(out, 1u);
  else
    out[0] = out[0] + 1;
}

__global__ void count_in_blocks(std::uint32_t* out) {
  if (threadIdx.x == 0) out[0] = out[0] + 1;
}

__global__ void sum_warp(bool has_barrier, std::uint32_t* out) {
  __shared__ std::uint32_t sums[threads];
  sums[threadIdx.x] = out[blockIdx.x * threads + threadIdx.x];
  for (std::uint32_t step = 16; step > 0; step /= 2) {
    if (has_barrier) __syncwarp();
    std::uint32_t other = 0;
    if (threadIdx.x % 32 < step) other = sums[threadIdx.x + step];
    if (threadIdx.x % 32 < step) sums[threadIdx.x] += other;
  }
  if (has_barrier) __syncwarp();
  out[blockIdx.x * threads + threadIdx.x] = sums[threadIdx.x / 32 * 32];
}

__global__ void diverge(std::uint32_t* out) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
    out[threadIdx.x] = 1;
  } else {
    __syncthreads();
    out[threadIdx.x] = 2;
  }
}

__global__ void leave(std::uint32_t* out) {
  if (threadIdx.x % 2 == 0) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void name_absent_lane(std::uint32_t* out) {
  if (threadIdx.x % 32 == 7) return;
  out[threadIdx.x] = __ballot_sync(0xffffffffu, true);
}

__global__ void overrun(std::uint32_t* out, std::uint32_t count) {
  out[count + threadIdx.x] = 7;
}

cudaError_t start(planted which, std::uint32_t blocks, std::uint32_t* out, cudaStream_t stream) {
  const auto go = [&](auto kernel, auto... arguments) {
    return launch(kernel, blocks, threads, stream, arguments...);
  };
  switch (which) {
    case planted::reversed:
    case planted::missing_barrier:
      return go(reverse, which == planted::reversed, out);
    case planted::counted:
    case planted::racy_count:
      return go(count, which == planted::counted, out);
    case planted::racy_count_in_blocks:
      return go(count_in_blocks, out);
    case planted::warp_sum:
    case planted::missing_warp_barrier:
      return go(sum_warp, which == planted::warp_sum, out);
    case planted::divergent_barrier:
      return go(diverge, out);
    case planted::left_barrier:
      return go(leave, out);
    case planted::absent_lane:
      return go(name_absent_lane, out);
    case planted::overrun:
      return go(overrun, out, blocks * threads);
  }
  return cudaErrorInvalidValue;
}

status run(planted which, std::uint32_t blocks, std::vector<std::uint32_t>& out) {
  MILLRACE_CUDA_TRY(cudaSetDevice(0));
  const std::size_t bytes = sizeof(std::uint32_t) * blocks * threads;
  MILLRACE_ASSIGN(const cuda_stream stream, make_stream(0));
  MILLRACE_ASSIGN(const device_memory memory, allocate_device(bytes, 0, "items"));
  out.resize(blocks * threads);
  for (std::uint32_t i = 0; i < out.size(); ++i)
    out[i] = which == planted::counted || which == planted::racy_count ||
                     which == planted::racy_count_in_blocks
                 ? 0
                 : i;
  MILLRACE_CUDA_TRY(
      cudaMemcpyAsync(memory.data(), out.data(), bytes, cudaMemcpyHostToDevice, stream.get()));
  MILLRACE_CUDA_TRY(start(which, blocks, memory.as<std::uint32_t>(), stream.get()));
  MILLRACE_CUDA_TRY(
      cudaMemcpyAsync(out.data(), memory.data(), bytes, cudaMemcpyDeviceToHost, stream.get()));
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream.get()));
  return {};
}

}  // namespace

bool run_planted(planted which, std::uint32_t blocks, std::vector<std::uint32_t>& out) {
  return run(which, blocks, out).ok();
}

}  // namespace millrace
