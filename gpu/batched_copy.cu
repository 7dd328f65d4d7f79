#include <algorithm>

#include <cub/device/device_memcpy.cuh>
#include <cub/device/device_scan.cuh>

#include "gpu/batched_copy.cuh"

namespace millrace {
namespace {

cudaError_t sum(const std::uint32_t* values, std::uint32_t* sums, std::uint32_t count,
                std::byte* scratch, std::size_t& scratch_bytes, cudaStream_t stream) {
  return cub::DeviceScan::ExclusiveSum(scratch, scratch_bytes, values, sums, count, stream);
}

cudaError_t copy(const copy_list& list, std::byte* scratch, std::size_t& scratch_bytes,
                 cudaStream_t stream) {
  return cub::DeviceMemcpy::Batched(scratch, scratch_bytes, list.sources, list.destinations,
                                    list.sizes, list.count, stream);
}

}  // namespace

cudaError_t sum_before(const std::uint32_t* values, std::uint32_t* sums, std::uint32_t count,
                       std::byte* scratch, std::size_t scratch_bytes, cudaStream_t stream) {
  return sum(values, sums, count, scratch, scratch_bytes, stream);
}

cudaError_t batched_copy(const copy_list& list, std::byte* scratch, std::size_t scratch_bytes,
                         cudaStream_t stream) {
  return copy(list, scratch, scratch_bytes, stream);
}

std::size_t batched_copy_scratch_bytes(std::uint32_t count) {
  copy_list list{};
  list.count = count;
  std::size_t of_sum = 0;
  std::size_t of_copy = 0;
  if (sum(nullptr, nullptr, count, nullptr, of_sum, nullptr) != cudaSuccess ||
      copy(list, nullptr, of_copy, nullptr) != cudaSuccess)
    return 0;
  return std::max(of_sum, of_copy);
}

}  // namespace millrace
