#include "app/doctor.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/bench_report.h"
#include "app/machine.h"
#include "app/parse.h"
#include "base/limits.h"
#include "gpu/backend.h"
#include "gpu/device_facts.h"
#include "ingest/dpdk_port.h"

namespace millrace {
namespace {

void line(std::string_view name, const std::string& what) {
  fmt::print("{:<10} {}\n", name, what);
}

void advice(const std::string& what) {
  fmt::print("{:<10} ! {}\n", "", what);
}

void show_cpu(const cpu_facts& cpu) {
  line("cpu", fmt::format("{}, {} cores, {} NUMA node{}", cpu.model, cpu.cores, cpu.numa_nodes,
                          cpu.numa_nodes == 1 ? "" : "s"));
  line("", fmt::format("{}", fmt::join(cpu.features, " ")));
  const auto has = [&](std::string_view name) {
    return std::find(cpu.features.begin(), cpu.features.end(), name) != cpu.features.end();
  };
  if (!has("avx2")) advice("no AVX2: partition keys are hashed one at a time");
}

void show_memory(const memory_facts& memory) {
  line("memory", fmt::format("{} of {} available; one core copies {}", bytes_text(memory.available),
                             bytes_text(memory.total),
                             format_rate(static_cast<double>(memory.copy_rate), "bytes/s")));
  line("pages",
       fmt::format("{} huge pages of {} ({} free), transparent: {}", memory.huge_pages,
                   bytes_text(memory.huge_page_bytes), memory.huge_pages_free, memory.transparent));
  if (memory.huge_pages_free == 0)
    advice("no free huge pages: sysctl vm.nr_hugepages=256 reserves 512 MiB for the arena");
  if (memory.receive_buffer_max < 16 * limits::mib)
    advice(
        fmt::format("net.core.rmem_max is {}: sysctl net.core.rmem_max=16777216 lets the UDP "
                    "door ride out longer bursts (as root it does anyway)",
                    memory.receive_buffer_max));
}

void show_nics(const std::vector<nic_facts>& nics) {
  for (const nic_facts& nic : nics) {
    std::string text = fmt::format("{}: {}, {}, {} receive queue{}", nic.name, nic.driver,
                                   nic.is_up ? "up" : "down", nic.receive_queues,
                                   nic.receive_queues == 1 ? "" : "s");
    if (nic.megabits > 0 && nic.megabits < 10'000'000)
      text += fmt::format(", {} Gbit/s", static_cast<double>(nic.megabits) / 1000);
    if (nic.numa_node >= 0) text += fmt::format(", NUMA node {}", nic.numa_node);
    line("nic", text);
  }
}

void show_disk(const disk_facts& disk, const std::string& directory) {
  line("disk", fmt::format("{} on {}, {} free, writes by {}", directory, disk.file_system,
                           bytes_text(disk.free_bytes), disk.engine));
  if (disk.write_rate > 0)
    line("", fmt::format("durable 1 MiB blocks {}, a durable 4 KiB write {} us",
                         format_rate(static_cast<double>(disk.write_rate), "bytes/s"),
                         disk.write_latency_us));
  if (disk.is_memory)
    advice("a memory file system: what is acked there does not survive a power failure");
  if (disk.engine != "io_uring")
    advice("the kernel allows no io_uring: writes are made by threads, which costs some CPU");
}

void show_gpus() {
  const auto devices = read_devices();
  if (!devices.ok()) return line("", devices.failure().message());
  for (const device_facts& gpu : *devices) {
    line("gpu", fmt::format("{}, compute capability {}, {} multiprocessors, at {}", gpu.name,
                            gpu.capability, gpu.multiprocessors, gpu.pci));
    std::string text = fmt::format("{} of {} free", bytes_text(gpu.memory_free_bytes),
                                   bytes_text(gpu.memory_bytes));
    if (gpu.memory_rate > 0)
      text += ", " + format_rate(static_cast<double>(gpu.memory_rate), "bytes/s") + " by its clock";
    line("", text);
    line("", gpu.link.empty()
                 ? "its link to the host is not told"
                 : fmt::format("link {} now, {} each way before packets", gpu.link,
                               format_rate(static_cast<double>(gpu.link_rate), "bytes/s")));
  }
}

void show_views(const memory_facts& memory) {
  line("views", fmt::format("a stream with views keeps its newest {} in memory; a view's state is "
                            "bounded by its limits.state",
                            bytes_text(limits::view_hot_tail_bytes)));
  if (memory.available < 4 * limits::view_hot_tail_bytes)
    advice(fmt::format("{} available: not for more than {} streams with views",
                       bytes_text(memory.available),
                       memory.available / limits::view_hot_tail_bytes));
}

/// Of what a terabyte an hour needs, what is scarcest here.
void show_limit(const cpu_facts& cpu, const memory_facts& memory, const disk_facts& disk,
                const std::vector<nic_facts>& nics) {
  struct bound {
    std::string what;
    double bytes_per_second;
  };
  std::vector<bound> bounds;
  // A record is copied once and checksummed; half a copy's rate is what a core keeps up.
  bounds.push_back({fmt::format("the {} cores", cpu.cores),
                    static_cast<double>(memory.copy_rate) / 2 * std::max(1u, cpu.cores / 2)});
  if (disk.write_rate > 0) bounds.push_back({"the disk", static_cast<double>(disk.write_rate)});
  std::uint64_t fastest = 0;
  for (const nic_facts& nic : nics) {
    if (nic.is_up && nic.name != "lo" && nic.megabits < 10'000'000)
      fastest = std::max(fastest, nic.megabits);
  }
  if (fastest > 0) bounds.push_back({"the network", static_cast<double>(fastest) * 125'000});
  const auto least = std::min_element(bounds.begin(), bounds.end(), [](auto& a, auto& b) {
    return a.bytes_per_second < b.bytes_per_second;
  });
  line("limit", fmt::format("{} first, at about {} ({:.2f} TB an hour)", least->what,
                            format_rate(least->bytes_per_second, "bytes/s"),
                            least->bytes_per_second * 3600 / 1e12));
  if (fastest == 0)
    line("", "no network interface tells its speed; loopback is bound by the cores");
}

}  // namespace

int run_doctor(const doctor_options& options) {
  const cpu_facts cpu = read_cpu();
  show_cpu(cpu);
  const memory_facts memory = read_memory();
  show_memory(memory);
  const auto nics = read_nics();
  show_nics(nics);
  line("dpdk", dpdk_version() == "none" ? "not in this build" : dpdk_version());
  line("cuda", cuda_driver());
  show_gpus();
  if (auto compute = make_backend("auto"); compute.ok()) line("backend", (*compute)->describe());

  // The data directory may not be there yet: its parent's disk is the same one.
  std::string directory = options.data;
  struct stat found {};
  while (stat(directory.c_str(), &found) != 0) {
    const std::string parent = std::filesystem::path(directory).parent_path().string();
    if (parent.empty() || parent == directory) {
      directory = ".";
      break;
    }
    directory = parent;
  }
  auto disk = measure_disk(directory, options.seconds);
  if (!disk.ok()) {
    std::fflush(stdout);
    fmt::print(stderr, "millrace doctor: disk: {}\n", disk.failure().message());
    return 1;
  }
  show_disk(*disk, directory);
  show_views(memory);
  show_limit(cpu, memory, *disk, nics);
  return 0;
}

}  // namespace millrace
