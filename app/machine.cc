#include "app/machine.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include <dirent.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

namespace millrace {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t number_in(const std::string& path) {
  const std::string text = first_line(path);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string> entries(const std::string& directory, std::string_view prefix = "") {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(opendir(directory.c_str()), closedir);
  while (opened) {
    const dirent* entry = readdir(opened.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && name.starts_with(prefix)) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// One core's rate of copying between regions that no cache holds.
std::uint64_t measure_copy() {
  constexpr std::size_t bytes = 64 * limits::mib;
  std::vector<char> from(bytes, 'a');
  std::vector<char> to(bytes, 'b');
  std::uint64_t best_us = UINT64_MAX;
  for (int round = 0; round < 4; ++round) {
    const std::uint64_t started = monotonic_us();
    std::memcpy(to.data(), from.data(), bytes);
    best_us = std::min(best_us, std::max<std::uint64_t>(monotonic_us() - started, 1));
    std::swap(from, to);
  }
  return bytes * 1'000'000 / best_us;
}

}  // namespace

cpu_facts read_cpu() {
  constexpr std::array wanted{"sse4_2",     "avx2", "avx512f", "avx512bw",
                              "vpclmulqdq", "aes",  "sha_ni"};
  cpu_facts out;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    out.cores = static_cast<unsigned>(CPU_COUNT(&allowed));
  out.numa_nodes = std::max<unsigned>(
      1, static_cast<unsigned>(entries("/sys/devices/system/node", "node").size()));
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && (out.model.empty() || out.features.empty())) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(std::min(colon + 2, line.size()));
    if (line.starts_with("model name")) out.model = value;
    if (!line.starts_with("flags")) continue;
    std::istringstream words(value);
    std::string word;
    while (words >> word) {
      if (std::find(wanted.begin(), wanted.end(), word) != wanted.end())
        out.features.push_back(word);
    }
  }
  return out;
}

memory_facts read_memory() {
  memory_facts out;
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t value = 0;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    words >> name >> value;
    if (name == "MemTotal:") out.total = value * limits::kib;
    if (name == "MemAvailable:") out.available = value * limits::kib;
    if (name == "HugePages_Total:") out.huge_pages = value;
    if (name == "HugePages_Free:") out.huge_pages_free = value;
    if (name == "Hugepagesize:") out.huge_page_bytes = value * limits::kib;
  }
  const std::string choice = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t from = choice.find('[');
  const std::size_t to = choice.find(']');
  if (from != std::string::npos && to != std::string::npos)
    out.transparent = choice.substr(from + 1, to - from - 1);
  out.receive_buffer_max = number_in("/proc/sys/net/core/rmem_max");
  out.copy_rate = measure_copy();
  return out;
}

std::vector<nic_facts> read_nics() {
  std::vector<nic_facts> out;
  for (const std::string& name : entries("/sys/class/net")) {
    const std::string base = "/sys/class/net/" + name;
    nic_facts one;
    one.name = name;
    std::array<char, 256> target{};
    const ssize_t length =
        readlink((base + "/device/driver").c_str(), target.data(), target.size() - 1);
    if (length > 0) {
      const std::string_view path(target.data(), static_cast<std::size_t>(length));
      one.driver = path.substr(path.rfind('/') + 1);
    } else {
      one.driver = "virtual";
    }
    one.is_up = first_line(base + "/operstate") != "down";
    one.megabits = number_in(base + "/speed");
    const std::string node = first_line(base + "/device/numa_node");
    std::from_chars(node.data(), node.data() + node.size(), one.numa_node);
    one.receive_queues = static_cast<unsigned>(entries(base + "/queues", "rx-").size());
    out.push_back(std::move(one));
  }
  return out;
}

std::string cuda_driver() {
  void* library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return "no CUDA driver (libcuda.so.1 is not there)";
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(library, "cuInit"));
  const auto version = reinterpret_cast<int (*)(int*)>(dlsym(library, "cuDriverGetVersion"));
  const auto count = reinterpret_cast<int (*)(int*)>(dlsym(library, "cuDeviceGetCount"));
  int number = 0;
  int devices = 0;
  std::string out = "a CUDA driver that does not start";
  if (init != nullptr && version != nullptr && count != nullptr && init(0) == 0 &&
      version(&number) == 0 && count(&devices) == 0)
    out = fmt::format("CUDA driver {}.{}, {} device{}", number / 1000, number % 1000 / 10, devices,
                      devices == 1 ? "" : "s");
  dlclose(library);
  return out;
}

}  // namespace millrace
