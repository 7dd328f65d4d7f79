// Does not compile, and must not: a kernel whose registers do not suffice. The test gpu_spills
// holds that the options of our kernels make that an error, so that a build that passes has none.
#include <cstdint>

namespace millrace {

constexpr int values = 96;

/// 1024 threads twice on a multiprocessor leave 32 registers to each, and all values are alive.
__global__ void __launch_bounds__(1024, 2) spill(const std::uint64_t* in, std::uint64_t* out) {
  std::uint64_t own[values];
#pragma unroll
  for (int i = 0; i < values; ++i)
    own[i] = in[i * 1024 + threadIdx.x];
#pragma unroll
  for (int round = 0; round < 4; ++round) {
#pragma unroll
    for (int i = 0; i < values; ++i)
      own[i] = own[i] * own[(i * 7 + 1) % values] + own[(i + 41) % values];
  }
#pragma unroll
  for (int i = 0; i < values; ++i)
    out[i * 1024 + threadIdx.x] = own[i];
}

}  // namespace millrace
