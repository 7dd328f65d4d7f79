#pragma once
/// DPDK's environment (EAL) in this process, which starts once: what its pools, ports and queues
/// share. Private to ingest/dpdk_*.cc.
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace millrace {

struct dpdk_environment {
  std::recursive_mutex mutex;  ///< guards the rest; a port that fails to open closes under it
  std::optional<status> started;
  std::string arguments;
  std::vector<std::string> words;  ///< the EAL keeps pointers into them
  bool pins_threads = false;
  std::vector<std::uint16_t> open_ports;
  std::uint32_t names = 0;  ///< for objects that DPDK wants named
};

/// The one there is. It is never destroyed: DPDK's threads outlive main().
dpdk_environment& eal();

/// start_dpdk() for who holds the mutex.
status start_eal(std::string_view arguments);
/// Makes the calling thread one of DPDK's lcores, so that pools cache for it, until it ends; binds
/// it to the CPUs of the index-th lcore when the user named some.
void join_eal(std::uint32_t index);
/// "millrace_<what>N".
std::string unique_dpdk_name(const char* what);
/// `errno_value` in DPDK's words; its sign does not matter.
error dpdk_error(error_code code, const std::string& what, int errno_value);

}  // namespace millrace
