#pragma once
/// CUB's running sum for the emulated machine.
#include <cstdint>

#include "tests/gpu/emulation/cuda_runtime.h"

namespace cub {

struct DeviceScan {
  template <class Value>
  static cudaError_t ExclusiveSum(void* temporary, std::size_t& temporary_bytes, const Value* in,
                                  Value* out, std::uint32_t count, cudaStream_t stream) {
    if (temporary == nullptr) {
      temporary_bytes = 1 + std::size_t{count};  // enough to notice a short one
      return cudaSuccess;
    }
    if (temporary_bytes < 1 + std::size_t{count}) return cudaErrorInvalidValue;
    return millrace::emulation::enqueue(stream, [=] {
      Value sum = 0;
      for (std::uint32_t i = 0; i < count; ++i) {
        out[i] = sum;
        sum += in[i];
      }
      return cudaSuccess;
    });
  }
};

}  // namespace cub
