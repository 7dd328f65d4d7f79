// The machine of the tests as it is: its GPU, if it has one.
#include <cstdlib>

#include "gpu/device_facts.h"
#include "tests/gpu/gpu_machine.h"

namespace millrace {

std::string start_machine(int devices, std::uint64_t, bool) {
  const auto found = read_devices();
  if (!found.ok()) return "no GPU: " + found.failure().message();
  if (found->size() < static_cast<std::size_t>(devices)) {
    return "needs " + std::to_string(devices) + " GPUs, this machine has " +
           std::to_string(found->size());
  }
  return {};
}

std::string machine_findings() {
  return {};
}

bool is_real_machine() {
  return true;
}

void inject_fault(machine_fault, int, int) {
  std::abort();  // the tests ask is_real_machine() first
}

machine_counts count_machine(int) {
  return {};
}

}  // namespace millrace
