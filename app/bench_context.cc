#include "app/bench_context.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <ostream>

#include <fmt/format.h>
#include <malloc.h>

namespace millrace {

bench_rounds rounds_of(std::vector<double> values) {
  MILLRACE_CHECK(!values.empty(), "no rounds");
  std::sort(values.begin(), values.end());
  return {.median = values[values.size() / 2], .low = values.front(), .high = values.back()};
}

void bench_context::add(bench_figure figure) {
  out_ << fmt::format("  {:<62} {:>18}", figure.name, format_rate(figure.median, figure.unit));
  if (figure.ceiling > 0) {
    out_ << fmt::format("  {:.0f} % of {}", 100 * figure.median / figure.ceiling,
                        figure.ceiling_name);
  }
  out_ << std::endl;
  report_.figures.push_back(std::move(figure));
}

void bench_context::add(bench_sweep sweep) {
  out_ << "  " << sweep.name << '\n';
  for (const auto& [x, y] : sweep.points)
    out_ << fmt::format("    {:>12} {:<20} {:>18}", x, sweep.x_name, format_rate(y, sweep.unit))
         << std::endl;
  report_.sweeps.push_back(std::move(sweep));
}

status bench_context::measure(bench_figure figure, const std::function<result<double>()>& round) {
  std::vector<double> values;
  for (std::uint32_t i = 0; i < options_.rounds; ++i) {
    auto value = round();
    if (!value.ok()) return std::move(value).failure().with_context(figure.name);
    values.push_back(*value);
  }
  const bench_rounds taken = rounds_of(std::move(values));
  figure.median = taken.median;
  figure.low = taken.low;
  figure.high = taken.high;
  add(std::move(figure));
  return {};
}

double bench_context::median_of(const std::string& group, const std::string& name) const {
  for (const auto& figure : report_.figures) {
    if (figure.group == group && figure.name == name) return figure.median;
  }
  return 0;
}

result<scratch_directory> scratch_directory::create(const std::string& parent) {
  std::string path = parent + "/millrace-bench-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return error::from_errno(errno, path);
  return scratch_directory(std::move(path));
}

scratch_directory::scratch_directory(scratch_directory&& other) noexcept
    : path_(std::move(other.path_)) {
  other.path_.clear();
}

scratch_directory::~scratch_directory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

double process_cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

std::uint64_t heap_bytes() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::uint64_t resident_bytes() {
  std::ifstream status("/proc/self/statm");
  std::uint64_t pages = 0;
  std::uint64_t resident_pages = 0;
  status >> pages >> resident_pages;
  return resident_pages * 4096;
}

}  // namespace millrace
