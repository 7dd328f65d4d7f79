#include "tests/gpu/emulation/control.h"
#include "tests/gpu/gpu_machine.h"

namespace millrace {

std::string start_machine(int devices, std::uint64_t seed, bool find_races) {
  emulation::reset({.seed = seed, .devices = devices, .find_races = find_races});
  return {};
}

std::string machine_findings() {
  std::string all;
  for (const std::string& one : emulation::findings())
    all += one + "\n";
  return all;
}

bool is_real_machine() {
  return false;
}

void inject_fault(machine_fault what, int device, int after) {
  emulation::inject(static_cast<emulation::fault>(what), device, after);
}

machine_counts count_machine(int device) {
  const emulation::statistics counts = emulation::count(device);
  return {.launches = counts.launches,
          .allocations = counts.allocations,
          .synchronising = counts.synchronising,
          .live_allocations = counts.live_allocations};
}

}  // namespace millrace
