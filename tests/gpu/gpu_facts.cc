// Prints this machine's GPUs as one JSON object, for scripts/gpu-check. Exit status 3: there is
// none, and the object says why.
#include <cstdio>

#include "gpu/device_facts.h"

int main() {
  const auto found = millrace::read_devices();
  if (!found.ok()) {
    std::printf("{\"gpus\": [], \"why\": \"%s\"}\n", found.failure().message().c_str());
    return 3;
  }
  std::printf("{\"gpus\": [");
  const char* separator = "";
  for (const millrace::device_facts& one : *found) {
    std::printf(
        "%s{\"name\": \"%s\", \"driver\": \"%s\", \"capability\": \"%s\", \"pci\": \"%s\", "
        "\"multiprocessors\": %u, \"memory_bytes\": %llu, \"memory_rate\": %llu, "
        "\"link\": \"%s\", \"link_rate\": %llu}",
        separator, one.name.c_str(), one.driver.c_str(), one.capability.c_str(), one.pci.c_str(),
        one.multiprocessors, static_cast<unsigned long long>(one.memory_bytes),
        static_cast<unsigned long long>(one.memory_rate), one.link.c_str(),
        static_cast<unsigned long long>(one.link_rate));
    separator = ", ";
  }
  std::printf("]}\n");
  return 0;
}
