#pragma once
/// `millrace bench`: what the hardware can do, what each stage makes of it, and the whole path,
/// each figure beside its ceiling from the same run.
#include <atomic>
#include <cstdint>
#include <iosfwd>
#include <string>

namespace millrace {

struct bench_options {
  std::string report;             ///< directory for bench.json and bench.html; empty: table only
  std::string dpdk;               ///< EAL arguments; empty: no DPDK figures
  std::uint32_t dpdk_mtu = 9000;  ///< of its ports; some drivers have 1500 alone
  std::string data = ".";  ///< a directory on the disk to measure; a folder is made and removed
  std::string memory = "/dev/shm";  ///< a directory on a memory file system
  double seconds = 2;               ///< for each round of each figure
  std::uint32_t rounds = 3;         ///< the median is reported
  std::string only;                 ///< run only the parts whose name contains this
  std::string command;              ///< as typed, for the report
};

/// Progress and the table go to `out`. Returns the exit code: 0, 1 (something could not be
/// measured).
int run_bench(const bench_options& options, std::ostream& out);

}  // namespace millrace
