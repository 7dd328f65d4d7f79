// Records from where they lie in pinned host memory into one piece of device memory, by the device
// itself: a warp a record, a word a lane.
#include "gpu/cuda_launch.cuh"
#include "gpu/record_fields.cuh"
#include "gpu/route_kernels.cuh"

namespace millrace {
namespace {

struct gather_policy {
  static constexpr std::uint32_t threads = 256;
  static constexpr std::uint32_t warps = threads / 32;
};

/// Four bytes from any address: of the aligned words around them. A word that is not needed is not
/// touched.
MILLRACE_HOST_DEVICE inline std::uint32_t load_word(const std::byte* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  const auto* const word = reinterpret_cast<const std::uint32_t*>(address & ~std::uintptr_t{3});
  const std::uint32_t shift = 8 * static_cast<std::uint32_t>(address & 3);
  if (shift == 0) return word[0];
  return word[0] >> shift | word[1] << (32 - shift);
}

__global__ void __launch_bounds__(gather_policy::threads)
    gather_kernel(const std::byte* const* sources, const std::uint32_t* offsets,
                  std::uint32_t count, std::byte* bytes) {
  const std::uint32_t i = blockIdx.x * gather_policy::warps + threadIdx.x / 32;
  if (i >= count) return;
  const std::byte* const from = sources[i];
  const record_head head{.record_bytes = load_word(from), .key_bytes = 0, .has_hash_key = false};
  auto* const to = reinterpret_cast<std::uint32_t*>(bytes + offsets[i]);
  const std::uint32_t words = head.stride() / 4;
  for (std::uint32_t word = threadIdx.x % 32; word < words; word += 32)
    to[word] = load_word(from + 4 * word);
}

}  // namespace

cudaError_t gather_records(const std::byte* const* sources, const std::uint32_t* offsets,
                           std::uint32_t count, std::byte* bytes, cudaStream_t stream) {
  return launch(gather_kernel, blocks_for(count, gather_policy::warps), gather_policy::threads,
                stream, sources, offsets, count, bytes);
}

}  // namespace millrace
