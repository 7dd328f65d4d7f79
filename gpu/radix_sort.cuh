#pragma once
/// A stable sort of pairs by a small key, on a device: CUB's, in a file of its own because it takes
/// longer to compile than all the rest.
#include <cstddef>
#include <cstdint>

#include <cuda_runtime.h>

namespace millrace {

struct sort_pairs {
  const std::uint16_t* keys_in;
  std::uint16_t* keys_out;
  const std::uint32_t* values_in;
  std::uint32_t* values_out;
  std::uint32_t count;
  std::uint32_t keys_end;  ///< every key is below
};

/// For up to `count` pairs with keys below `keys_end`.
std::size_t radix_sort_scratch_bytes(std::uint32_t count, std::uint32_t keys_end);
cudaError_t radix_sort(const sort_pairs& pairs, std::byte* scratch, std::size_t scratch_bytes,
                       cudaStream_t stream);

}  // namespace millrace
