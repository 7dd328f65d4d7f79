#include "app/bench_report.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace millrace {
namespace {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string percent_of_ceiling(const bench_figure& figure) {
  return figure.ceiling > 0 ? fmt::format("{:.0f} %", 100 * figure.median / figure.ceiling) : "";
}

std::vector<std::string> groups_of(const bench_report& report) {
  std::vector<std::string> groups;
  for (const auto& figure : report.figures) {
    if (std::find(groups.begin(), groups.end(), figure.group) == groups.end()) {
      groups.push_back(figure.group);
    }
  }
  return groups;
}

/// Bars share a scale within a unit: a figure's bar is solid, its ceiling a hollow bar behind it.
std::string chart(const bench_report& report, const std::string& group) {
  constexpr int row_height = 26;
  constexpr int label_width = 420;
  constexpr int bar_width = 420;
  std::string rows;
  int y = 0;
  for (const auto& figure : report.figures) {
    if (figure.group != group) continue;
    double scale = 0;
    for (const auto& other : report.figures) {
      if (other.group == group && other.unit == figure.unit) {
        scale = std::max({scale, other.median, other.ceiling});
      }
    }
    const auto pixels = [&](double value) { return scale > 0 ? bar_width * value / scale : 0; };
    rows += fmt::format("<text x='{}' y='{}' text-anchor='end'>{}</text>\n", label_width - 8,
                        y + 17, escape_html(figure.name));
    if (figure.ceiling > 0) {
      rows += fmt::format("<rect class='ceiling' x='{}' y='{}' width='{:.1f}' height='18'/>\n",
                          label_width, y + 3, pixels(figure.ceiling));
    }
    rows += fmt::format("<rect class='figure' x='{}' y='{}' width='{:.1f}' height='10'/>\n",
                        label_width, y + 7, pixels(figure.median));
    rows += fmt::format("<text x='{}' y='{}'>{}</text>\n", label_width + bar_width + 8, y + 17,
                        escape_html(format_rate(figure.median, figure.unit)));
    y += row_height;
  }
  return fmt::format("<svg viewBox='0 0 {} {}' role='img'>\n{}</svg>\n",
                     label_width + bar_width + 160, y, rows);
}

constexpr std::string_view page_style = R"(
body { font: 15px/1.4 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { width: 100%; height: auto; font-size: 12px; }
.figure { fill: #0b6bcb; }
.ceiling { fill: #eaeef2; stroke: #8c959f; }
.grid { stroke: #d8dee4; }
.line { fill: none; stroke: #0b6bcb; stroke-width: 2; }
)";

}  // namespace

std::string format_rate(double value, const std::string& unit) {
  if (unit == "µs" && value >= 1e3) return fmt::format("{:.3g} ms", value / 1e3);
  const bool is_bytes = unit.starts_with("bytes");
  struct step {
    double from;
    const char* letter;
  };
  for (const step s : {step{1e9, "G"}, step{1e6, "M"}, step{1e3, "k"}}) {
    if (std::fabs(value) < s.from) continue;
    const std::string shown =
        is_bytes ? s.letter + ("B" + unit.substr(5)) : s.letter + (" " + unit);
    return fmt::format("{:.3g} {}", value / s.from, shown);
  }
  return fmt::format("{:.4g} {}", value, unit);
}

std::string to_json(const bench_report& report) {
  nlohmann::ordered_json root;
  root["machine"] = report.machine;
  root["software"] = report.software;
  root["command"] = report.command;
  root["when"] = report.when;
  root["figures"] = nlohmann::ordered_json::array();
  for (const auto& figure : report.figures) {
    nlohmann::ordered_json row{{"group", figure.group}, {"name", figure.name},
                               {"unit", figure.unit},   {"median", figure.median},
                               {"low", figure.low},     {"high", figure.high}};
    if (figure.ceiling > 0) {
      row["ceiling"] = figure.ceiling;
      row["ceiling_name"] = figure.ceiling_name;
      row["of_ceiling"] = figure.median / figure.ceiling;
    }
    if (!figure.note.empty()) row["note"] = figure.note;
    root["figures"].push_back(std::move(row));
  }
  root["sweeps"] = nlohmann::ordered_json::array();
  for (const auto& sweep : report.sweeps) {
    nlohmann::ordered_json points = nlohmann::ordered_json::array();
    for (const auto& [x, y] : sweep.points)
      points.push_back({x, y});
    root["sweeps"].push_back({{"name", sweep.name},
                              {"x", sweep.x_name},
                              {"unit", sweep.unit},
                              {"points", std::move(points)}});
  }
  return root.dump(2) + "\n";
}

std::string to_html(const bench_report& report) {
  std::string body;
  for (const auto& group : groups_of(report)) {
    body += fmt::format("<h2>{}</h2>\n{}<table>\n", escape_html(group), chart(report, group));
    body += "<tr><th>what</th><th>median</th><th>low … high</th><th>ceiling</th><th></th></tr>\n";
    for (const auto& figure : report.figures) {
      if (figure.group != group) continue;
      std::string remark = escape_html(figure.ceiling_name);
      if (!figure.note.empty()) remark += (remark.empty() ? "" : "; ") + escape_html(figure.note);
      body += fmt::format(
          "<tr><td>{}</td><td class=number>{}</td><td class=number>{} … {}</td>"
          "<td class=number>{}</td><td>{}</td></tr>\n",
          escape_html(figure.name), escape_html(format_rate(figure.median, figure.unit)),
          escape_html(format_rate(figure.low, figure.unit)),
          escape_html(format_rate(figure.high, figure.unit)), percent_of_ceiling(figure), remark);
    }
    body += "</table>\n";
  }
  for (const auto& sweep : report.sweeps)
    body += fmt::format("<h2>{}</h2>\n{}", escape_html(sweep.name), sweep_plot(sweep));
  return fmt::format(
      "<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>millrace bench</title>\n"
      "<style>{}</style>\n<h1>millrace bench</h1>\n<p>{}<br>{}<br><code>{}</code><br>{}</p>\n"
      "<p>Solid: measured. Hollow: the ceiling of the hardware from the same run.</p>\n{}</html>\n",
      page_style, escape_html(report.machine), escape_html(report.software),
      escape_html(report.command), escape_html(report.when), body);
}

status write_report(const bench_report& report, const std::string& directory) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed) return error(error_code::io, directory + ": " + failed.message());
  const auto write = [&](const std::string& name, const std::string& text) -> status {
    const std::string path = directory + "/" + name;
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.flush();
    if (!file) return error::from_errno(errno, path);
    return {};
  };
  MILLRACE_TRY(write("bench.json", to_json(report)));
  return write("bench.html", to_html(report));
}

}  // namespace millrace
