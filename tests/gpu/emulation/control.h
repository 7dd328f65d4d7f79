#pragma once
/// The emulated CUDA machine, as tests see it. The .cu files of gpu/ compile with the C++ compiler
/// against the headers of this folder instead of CUDA's, and then:
///
///   * every thread of a block is a fiber; which one runs next is drawn from a seed, and a fiber
///   may
///     be stopped at each access to memory that is not its own stack, at each atomic and at each
///     warp or block operation (the compiler marks the accesses: -fsanitize=thread, whose hooks
///     watch.cc provides);
///   * two threads that touch the same byte, at least one writing, not both atomically, with no
///     barrier between them, are a finding; so is a barrier that not all threads reach at the same
///     place, or a warp operation that a named lane never reaches;
///   * shared memory is filled with noise before each block;
///   * streams are queues: what was asked for runs later, in an order drawn from the seed that
///   keeps
///     to streams and events, and a bit of it at each question that the host asks;
///   * device memory can only be touched by operations of its device: the host faults on it.
///
/// One thread. Blocks run one after another; threads of different blocks are compared all the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace millrace::emulation {

struct settings {
  std::uint64_t seed = 1;
  int devices = 1;
  std::size_t device_bytes = std::size_t{1} << 30;
  /// One in so many accesses stops its fiber; 0: only barriers, warp operations and atomics do.
  std::uint32_t stop_one_in = 64;
  bool find_races = false;  ///< slow: for small launches
  std::string driver{};     ///< not empty: there is no driver, and this is CUDA's excuse
};

/// A machine as after power-on. Everything that was allocated before is gone.
void reset(const settings& how = {});

enum class fault : std::uint8_t {
  out_of_memory,   ///< the next allocation, on device or host, fails
  failed_launch,   ///< the next launch is refused; the device is as good as before
  failed_kernel,   ///< the next launch dies while it runs: an error from then on, as on hardware
  lost_device,     ///< every call on `device` fails from then on
  failed_register  ///< the next cudaHostRegister fails
};
/// The (after + 1)-th call of the kind from now on goes wrong.
void inject(fault what, int device = 0, int after = 0);

/// What was found wrong so far, in words; a launch that had a finding fails on its device.
const std::vector<std::string>& findings();
void clear_findings();

struct statistics {
  std::uint64_t launches = 0;
  std::uint64_t allocations = 0;    ///< device and pinned, ever
  std::uint64_t synchronising = 0;  ///< calls that make the host wait
  std::uint64_t bytes_up = 0;       ///< host to device
  std::uint64_t bytes_down = 0;
  std::uint64_t live_allocations = 0;
};
statistics count(int device = -1);  ///< -1: all

}  // namespace millrace::emulation
