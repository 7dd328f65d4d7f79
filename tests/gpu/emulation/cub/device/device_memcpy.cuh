#pragma once
/// CUB's copy of many buffers for the emulated machine.
#include <cstdint>
#include <cstring>

#include "tests/gpu/emulation/cuda_runtime.h"

namespace cub {

struct DeviceMemcpy {
  template <class Sources, class Destinations, class Sizes>
  static cudaError_t Batched(void* temporary, std::size_t& temporary_bytes, Sources sources,
                             Destinations destinations, Sizes sizes, std::uint32_t count,
                             cudaStream_t stream) {
    if (temporary == nullptr) {
      temporary_bytes = 1 + std::size_t{count};
      return cudaSuccess;
    }
    if (temporary_bytes < 1 + std::size_t{count}) return cudaErrorInvalidValue;
    return millrace::emulation::enqueue(stream, [=] {
      for (std::uint32_t i = 0; i < count; ++i)
        std::memcpy(destinations[i], sources[i], sizes[i]);
      return cudaSuccess;
    });
  }
};

}  // namespace cub
