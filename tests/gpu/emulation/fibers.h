#pragma once
/// One block of CUDA threads at a time, as fibers. For cuda_runtime.h and machine.cc.
#include <cstdint>
#include <functional>
#include <string>

namespace millrace::emulation {

struct index3 {
  unsigned x = 0, y = 0, z = 0;
};

/// Runs `blocks` times `threads` fibers over `kernel`. An empty string, or what went wrong.
std::string run_grid(unsigned blocks, unsigned threads, const std::function<void()>& kernel);

void seed_fibers(std::uint64_t seed, std::uint32_t stop_one_in, bool find_races);
std::uint64_t draw();  ///< the machine's own random numbers

/// True within a kernel.
bool in_kernel();
/// Another fiber may run now.
void may_stop();
/// Ends the launch with a finding; does not return.
[[noreturn]] void fail_kernel(const std::string& what);

void block_barrier(const void* place);
/// All lanes of `mask` bring a value and get those of all; lanes outside have 0.
struct lane_values {
  std::uint64_t of[32];
};
lane_values exchange(unsigned mask, std::uint64_t value, const char* operation);
unsigned lanes_alive();

/// Memory that one access touches. Private memory (a fiber's stack) is nobody else's business.
enum class access : std::uint8_t { read, write, atomic };
void note_access(const void* at, std::size_t bytes, access kind);

// For watch.cc: who is running.
struct thread_place {
  std::uint32_t thread;  ///< in the grid
  std::uint32_t block;
  std::uint32_t warp;         ///< in the grid
  std::uint32_t block_epoch;  ///< barriers of its block so far
  std::uint32_t warp_epoch;   ///< __syncwarps of this lane so far
};
thread_place here();
bool on_own_stack(const void* at);
bool is_shared(const void* at);  ///< each block has its own: no other block's accesses count
void forget_accesses();          ///< at each launch

}  // namespace millrace::emulation

// What CUDA calls them.
inline millrace::emulation::index3 threadIdx;
inline millrace::emulation::index3 blockIdx;
inline millrace::emulation::index3 blockDim;
inline millrace::emulation::index3 gridDim;
inline constexpr int warpSize = 32;
