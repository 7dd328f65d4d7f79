#pragma once
/// What this machine's GPUs are, for doctor and for reports. Needs no CUDA.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace millrace {

struct device_facts {
  std::string name;
  std::string driver;      ///< the highest CUDA version that the driver knows: "13.0"
  std::string capability;  ///< "9.0"
  std::string pci;         ///< its address on the bus
  std::uint32_t multiprocessors = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_free_bytes = 0;
  std::uint64_t memory_rate = 0;  ///< bytes/s by clock and width of the bus; 0: not told
  /// The link to the host as it is now, from the kernel's files; empty: not told. Links sleep: an
  /// idle GPU may show less than it can.
  std::string link;             ///< "32.0 GT/s PCIe x16"
  std::uint64_t link_rate = 0;  ///< bytes/s each way before packet overhead
};

/// Every GPU that CUDA can use, in its order. Why there is none is an `unsupported` error.
result<std::vector<device_facts>> read_devices();

}  // namespace millrace
