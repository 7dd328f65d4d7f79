#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "app/bench_report.h"

namespace millrace {
namespace {

constexpr double width = 760;
constexpr double height = 260;
constexpr double left = 110;
constexpr double bottom = 40;

/// Values that span more than a factor of 20 are put on a logarithmic axis.
bool is_logarithmic(const bench_sweep& sweep) {
  const double low = sweep.points.front().x;
  return low > 0 && sweep.points.back().x / low > 20;
}

}  // namespace

std::string sweep_plot(const bench_sweep& sweep) {
  const bool log = is_logarithmic(sweep);
  const auto along = [&](double x) { return log ? std::log(x) : x; };
  const double first = along(sweep.points.front().x);
  const double span = std::max(along(sweep.points.back().x) - first, 1e-9);
  double top = 0;
  for (const auto& [x, y] : sweep.points)
    top = std::max(top, y);
  const auto px = [&](double x) { return left + (width - left - 20) * (along(x) - first) / span; };
  const auto py = [&](double y) {
    return height - bottom - (height - bottom - 15) * (top > 0 ? y / top : 0);
  };
  std::string out = fmt::format("<svg viewBox='0 0 {} {}' role='img'>\n", width, height);
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const double y = py(top * share);
    out += fmt::format("<line class='grid' x1='{}' y1='{:.1f}' x2='{}' y2='{:.1f}'/>"
                       "<text x='{}' y='{:.1f}' text-anchor='end'>{}</text>\n",
                       left, y, width - 20, y, left - 8, y + 4, format_rate(top * share, sweep.unit));
  }
  std::string line;
  for (const auto& [x, y] : sweep.points) {
    line += fmt::format("{:.1f},{:.1f} ", px(x), py(y));
    out += fmt::format("<circle class='figure' cx='{:.1f}' cy='{:.1f}' r='4'><title>{}: {}</title>"
                       "</circle><text x='{:.1f}' y='{}' text-anchor='middle'>{}</text>\n",
                       px(x), py(y), x, format_rate(y, sweep.unit), px(x), height - bottom + 16, x);
  }
  out += fmt::format("<polyline class='line' points='{}'/>\n", line);
  out += fmt::format("<text x='{}' y='{}' text-anchor='middle'>{}</text>\n</svg>\n",
                     left + (width - left) / 2, height - 6, sweep.x_name);
  return out;
}

}  // namespace millrace
