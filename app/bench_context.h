#pragma once
/// What the parts of `millrace bench` share: options, the report they fill in, and how a figure is
/// taken.
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "app/bench.h"
#include "app/bench_report.h"
#include "base/error.h"

namespace millrace {

/// The least, the median and the greatest of some rounds.
struct bench_rounds {
  double median = 0;
  double low = 0;
  double high = 0;
};
bench_rounds rounds_of(std::vector<double> values);

/// One thread.
class bench_context {
 public:
  bench_context(const bench_options& options, bench_report& report, std::ostream& out)
      : options_(options), report_(report), out_(out) {}

  const bench_options& options() const { return options_; }

  /// Adds a figure and shows it.
  void add(bench_figure figure);
  void add(bench_sweep sweep);
  /// Takes `rounds` rounds of `round`, which gives a rate, and adds their median.
  status measure(bench_figure figure, const std::function<result<double>()>& round);
  /// The median of a figure that an earlier part added; 0 when there is none.
  double median_of(const std::string& group, const std::string& name) const;

 private:
  const bench_options& options_;
  bench_report& report_;
  std::ostream& out_;
};

/// A folder in `parent` that is removed, with everything in it, at the end.
class scratch_directory {
 public:
  static result<scratch_directory> create(const std::string& parent);
  scratch_directory(scratch_directory&& other) noexcept;
  scratch_directory& operator=(scratch_directory&&) = delete;
  ~scratch_directory();
  const std::string& path() const { return path_; }

 private:
  explicit scratch_directory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// CPU time of all threads of this process, in seconds.
double process_cpu_seconds();
/// Memory that is allocated now, which pages kept for later do not blur.
std::uint64_t heap_bytes();
/// Resident memory of this process.
std::uint64_t resident_bytes();

/// Bytes made durable a second in the log's own way and by nothing else: blocks of `block_bytes`,
/// direct and data-sync, as many in flight as a log has, into a preallocated file below `parent`.
result<double> disk_rate(const std::string& parent, std::uint64_t block_bytes, double seconds);

// The parts, in the order in which they run; each is in the file of its name.
status bench_hardware(bench_context& context);
status bench_stages(bench_context& context);
status bench_windows(bench_context& context);
status bench_sweeps(bench_context& context);
status bench_views(bench_context& context);
status bench_path(bench_context& context);
status bench_sessions(bench_context& context);
status bench_memory(bench_context& context);
status bench_readers(bench_context& context);
status bench_network(bench_context& context);
status bench_nic(bench_context& context);
status bench_dpdk(bench_context& context);

}  // namespace millrace
