#pragma once
/// Sums and copies of many pieces on a device: CUB's, in a file of its own because they take longer
/// to compile than all the rest. All pointers are the device's; nothing allocates, nothing waits.
#include <cstddef>
#include <cstdint>

#include <cuda_runtime.h>

namespace millrace {

/// sums[i] = values[0] + … + values[i - 1].
cudaError_t sum_before(const std::uint32_t* values, std::uint32_t* sums, std::uint32_t count,
                       std::byte* scratch, std::size_t scratch_bytes, cudaStream_t stream);

/// Copies sizes[i] bytes from sources[i] to destinations[i], whatever their sizes.
struct copy_list {
  const std::byte* const* sources;
  std::byte* const* destinations;
  const std::uint32_t* sizes;
  std::uint32_t count;
};
cudaError_t batched_copy(const copy_list& list, std::byte* scratch, std::size_t scratch_bytes,
                         cudaStream_t stream);

/// Enough for a call of either on up to `count` items; 0: CUB says no.
std::size_t batched_copy_scratch_bytes(std::uint32_t count);

}  // namespace millrace
