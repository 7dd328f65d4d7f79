#include <bit>

#include <cub/device/device_radix_sort.cuh>

#include "gpu/radix_sort.cuh"

namespace millrace {
namespace {

cudaError_t sort(const sort_pairs& pairs, std::byte* scratch, std::size_t& scratch_bytes,
                 cudaStream_t stream) {
  const int key_bits = std::bit_width((pairs.keys_end - 1) | 1u);
  return cub::DeviceRadixSort::SortPairs(scratch, scratch_bytes, pairs.keys_in, pairs.keys_out,
                                         pairs.values_in, pairs.values_out,
                                         static_cast<int>(pairs.count), 0, key_bits, stream);
}

}  // namespace

std::size_t radix_sort_scratch_bytes(std::uint32_t count, std::uint32_t keys_end) {
  sort_pairs pairs{};
  pairs.count = count;
  pairs.keys_end = keys_end;
  std::size_t bytes = 0;
  return sort(pairs, nullptr, bytes, nullptr) == cudaSuccess ? bytes : 0;
}

cudaError_t radix_sort(const sort_pairs& pairs, std::byte* scratch, std::size_t scratch_bytes,
                       cudaStream_t stream) {
  return sort(pairs, scratch, scratch_bytes, stream);
}

}  // namespace millrace
