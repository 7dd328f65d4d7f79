#include "app/bench.h"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <ostream>
#include <thread>

#include <fmt/format.h>

#include "app/bench_context.h"
#include "app/version.h"
#include "base/crc32c.h"
#include "gpu/backend.h"

namespace millrace {
namespace {

struct bench_part {
  const char* name;
  status (*run)(bench_context&);
};

constexpr bench_part parts[] = {
    {"hardware", bench_hardware}, {"stages", bench_stages},   {"windows", bench_windows},
    {"sweeps", bench_sweeps},     {"path", bench_path},       {"views", bench_views},
    {"readers", bench_readers},   {"network", bench_network}, {"dpdk", bench_dpdk},
    {"sessions", bench_sessions}, {"memory", bench_memory},
};

/// The value of the first "key : value" line of a /proc file, or empty.
std::string proc_value(const char* path, std::string_view key) {
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const auto from = line.find_first_not_of(": \t", key.size());
    return from == std::string::npos ? "" : line.substr(from);
  }
  return "";
}

std::string describe_machine() {
  return fmt::format("{}, {} cores, memory {}", proc_value("/proc/cpuinfo", "model name"),
                     std::thread::hardware_concurrency(), proc_value("/proc/meminfo", "MemTotal"));
}

std::string describe_software() {
  const auto compute = make_backend("auto");
  return fmt::format("millrace {}, compute {}, crc32c {}", version_text(),
                     compute.ok() ? (*compute)->describe() : compute.failure().message(),
                     crc32c_implementation());
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts_of{};
  gmtime_r(&now, &parts_of);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts_of);
  return text;
}

}  // namespace

int run_bench(const bench_options& options, std::ostream& out) {
  bench_report report{.machine = describe_machine(),
                      .software = describe_software(),
                      .command = options.command,
                      .when = utc_now(),
                      .figures = {},
                      .sweeps = {}};
  out << report.machine << '\n' << report.software << '\n';
  bench_context context(options, report, out);
  int failures = 0;
  for (const bench_part& part : parts) {
    // The hardware is measured with every part: a figure without its ceiling says little.
    const bool is_wanted = std::string_view(part.name).find(options.only) != std::string::npos ||
                           std::string_view(part.name) == "hardware";
    if (!is_wanted) continue;
    out << '\n' << part.name << '\n';
    if (const status measured = part.run(context); !measured.ok()) {
      out << "  could not be measured: " << measured.failure().message() << '\n';
      ++failures;
    }
  }
  if (!options.report.empty()) {
    if (const status written = write_report(report, options.report); !written.ok()) {
      out << written.failure().message() << '\n';
      ++failures;
    } else {
      out << "\nwrote " << options.report << "/bench.json and bench.html\n";
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace millrace
