#pragma once
/// What the operating system tells of this machine, for `millrace doctor`. Linux; what cannot be
/// read is empty or 0.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace millrace {

struct cpu_facts {
  std::string model;
  unsigned cores = 0;  ///< that this process may use
  unsigned numa_nodes = 1;
  std::vector<std::string> features;  ///< of those that Millrace uses
};
cpu_facts read_cpu();

struct memory_facts {
  std::uint64_t total = 0;
  std::uint64_t available = 0;
  std::uint64_t huge_pages = 0;
  std::uint64_t huge_pages_free = 0;
  std::uint64_t huge_page_bytes = 0;
  std::string transparent;               ///< "always", "madvise", "never"
  std::uint64_t copy_rate = 0;           ///< bytes a second, one core
  std::uint64_t receive_buffer_max = 0;  ///< net.core.rmem_max
};
memory_facts read_memory();

struct nic_facts {
  std::string name;
  std::string driver;
  std::uint64_t megabits = 0;
  int numa_node = -1;
  unsigned receive_queues = 0;
  bool is_up = false;
};
std::vector<nic_facts> read_nics();

struct disk_facts {
  std::string file_system;
  bool is_memory = false;  ///< then what is "durable" there is only written
  std::uint64_t free_bytes = 0;
  std::string engine;                  ///< how log writes are made: io_uring or threads
  std::uint64_t write_rate = 0;        ///< bytes a second: durable 1 MiB blocks, 4 in flight
  std::uint64_t write_latency_us = 0;  ///< median of durable 4 KiB writes, one at a time
};
/// Writes into a file in `directory` for `seconds`, and removes it.
result<disk_facts> measure_disk(const std::string& directory, double seconds);

/// "CUDA driver 12.4, 1 device", or why there is none.
std::string cuda_driver();

}  // namespace millrace
