#pragma once
/// The one way to launch a kernel.
#include <cstdint>
#include <utility>

#include <cuda_runtime.h>

/// Of a device function whose registers and branches are apart from those of its kernel, so that
/// neither spills. (CUDA's own word for it is a macro that standard headers do not survive.)
#define MILLRACE_NOINLINE __attribute__((noinline))

namespace millrace {

inline std::uint32_t blocks_for(std::uint64_t items, std::uint32_t items_per_block) {
  return static_cast<std::uint32_t>((items + items_per_block - 1) / items_per_block);
}

/// Nothing is launched for zero blocks. A debug build waits for the kernel, so that its failure is
/// this call's.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), std::uint32_t blocks, std::uint32_t threads,
                   cudaStream_t stream, Arguments&&... arguments) {
  if (blocks == 0) return cudaSuccess;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.stream = stream;
  const cudaError_t code =
      cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
#if !defined(NDEBUG)
  if (code == cudaSuccess) return cudaStreamSynchronize(stream);
#endif
  return code;
}

}  // namespace millrace
