#pragma once
/// CUB's radix sort of pairs for the emulated machine: the same answers, by a counting sort of the
/// host.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/gpu/emulation/cuda_runtime.h"

namespace cub {

struct DeviceRadixSort {
  template <class Key, class Value>
  static cudaError_t SortPairs(void* temporary, std::size_t& temporary_bytes, const Key* keys_in,
                               Key* keys_out, const Value* values_in, Value* values_out, int count,
                               int begin_bit, int end_bit, cudaStream_t stream) {
    if (temporary == nullptr) {
      temporary_bytes = 1 + static_cast<std::size_t>(count);  // enough to notice a short one
      return cudaSuccess;
    }
    if (temporary_bytes < 1 + static_cast<std::size_t>(count)) return cudaErrorInvalidValue;
    return millrace::emulation::enqueue(stream, [=] {
      const auto digit = [=](Key key) {
        return key >> begin_bit & ((1ull << (end_bit - begin_bit)) - 1);
      };
      std::vector<int> order(static_cast<std::size_t>(count));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int a, int b) { return digit(keys_in[a]) < digit(keys_in[b]); });
      for (int i = 0; i < count; ++i) {
        keys_out[i] = keys_in[order[static_cast<std::size_t>(i)]];
        values_out[i] = values_in[order[static_cast<std::size_t>(i)]];
      }
      return cudaSuccess;
    });
  }
};

}  // namespace cub
