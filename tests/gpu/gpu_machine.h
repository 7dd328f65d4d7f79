#pragma once
/// The machine that the tests of the CUDA backend run on: the emulated one (emulated_machine.cc) or
/// a real GPU (real_machine.cc). The same tests are compiled against each.
#include <cstdint>
#include <string>

namespace millrace {

/// Why tests cannot run here; empty: they can. A machine as after power-on.
std::string start_machine(int devices, std::uint64_t seed, bool find_races);
/// What the machine found wrong with what ran since; empty: nothing.
std::string machine_findings();
/// A real GPU: more records, no injected faults.
bool is_real_machine();

enum class machine_fault : std::uint8_t {
  out_of_memory,
  failed_launch,
  failed_kernel,
  lost_device,
  failed_register
};
/// Emulated machines alone.
void inject_fault(machine_fault what, int device, int after);
struct machine_counts {
  std::uint64_t launches = 0;
  std::uint64_t allocations = 0;
  std::uint64_t synchronising = 0;
  std::uint64_t live_allocations = 0;
};
machine_counts count_machine(int device);

}  // namespace millrace
