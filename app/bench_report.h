#pragma once
/// What `millrace bench` measured: each figure beside the ceiling of the hardware from the same
/// run, as JSON and as a page with plots.
#include <string>
#include <vector>

#include "base/error.h"

namespace millrace {

/// One measured rate. Medians of several rounds, with the lowest and highest.
struct bench_figure {
  std::string group{};  ///< "ceilings", "stages", "end to end", "scaling"
  std::string name{};   ///< "route, 100-byte records, 4 shards"
  std::string unit{};   ///< "records/s", "bytes/s", "µs", "bytes"
  double median = 0;
  double low = 0;
  double high = 0;
  double ceiling = 0;          ///< same unit; 0: there is none to compare with
  std::string ceiling_name{};  ///< "memory copy of the same bytes"
  std::string note{};          ///< what a reader must know: "logs on a memory file system"
};

/// A rate at several values of one thing.
struct bench_sweep {
  std::string name{};    ///< "fold against the number of groups"
  std::string x_name{};  ///< "groups"
  std::string unit{};
  struct point {
    double x = 0;
    double y = 0;
  };
  std::vector<point> points;  ///< x ascending, at least two
};

struct bench_report {
  std::string machine{};   ///< CPU, cores, memory
  std::string software{};  ///< version, compiler, backend, flush engine
  std::string command;
  std::string when{};  ///< ISO 8601, UTC
  std::vector<bench_figure> figures;
  std::vector<bench_sweep> sweeps;
};

/// 12345678 records/s → "12.3 M records/s"; bytes/s in GB/s and MB/s (powers of ten).
std::string format_rate(double value, const std::string& unit);

std::string to_json(const bench_report& report);
/// One self-contained page: for each group a bar chart of figure against ceiling and a table, and a
/// plot of each sweep.
std::string to_html(const bench_report& report);

/// The plot of a sweep, as SVG (bench_plot.cc).
std::string sweep_plot(const bench_sweep& sweep);

/// Writes bench.json and bench.html into `directory`, which is created when missing.
status write_report(const bench_report& report, const std::string& directory);

}  // namespace millrace
