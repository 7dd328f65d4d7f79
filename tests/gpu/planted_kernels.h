#pragma once
/// Kernels with the mistakes that the emulated machine must find, each beside its right version.
#include <cstdint>
#include <vector>

namespace millrace {

enum class planted : std::uint8_t {
  reversed,              ///< a block reverses its items through shared memory
  missing_barrier,       ///< the same without the __syncthreads
  counted,               ///< every thread counts into one number, atomically
  racy_count,            ///< the same by a load and a store
  racy_count_in_blocks,  ///< one thread of each block does
  warp_sum,              ///< lanes add up through shared memory with __syncwarp
  missing_warp_barrier,  ///< the same without
  divergent_barrier,     ///< half of the threads wait at one barrier, half at another
  left_barrier,          ///< half of the threads end before the barrier
  absent_lane,           ///< a warp operation names a lane that never comes
  overrun,               ///< a write past the end of an allocation
};

/// Runs one on `blocks` blocks of 64 threads. False: the machine says that it failed.
bool run_planted(planted which, std::uint32_t blocks, std::vector<std::uint32_t>& out);

}  // namespace millrace
