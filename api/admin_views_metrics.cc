#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "api/admin_views.h"
#include "api/view_json.h"
#include "base/clock.h"

namespace millrace {
namespace {

/// Rows of a view that are shown as metrics: each is a series in whatever scrapes them.
constexpr std::uint32_t metric_rows_max = 1000;

/// A name that a label may have; what it may not hold becomes _.
std::string label_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x80 && std::isalnum(byte) != 0 ? c : '_';
  }
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0])) != 0) out.insert(0, "_");
  // Ours are these two, and two underscores in front are Prometheus' own.
  if (out == "view" || out == "value" || out.starts_with("__")) out.insert(0, "key_");
  return out;
}

double number_of(const view_value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::get<bool>(value) ? 1 : 0;
}

}  // namespace

void admin_views::write_metrics(metrics_text& out) const {
  if (views_ == nullptr) return;
  const auto views = views_->list();
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help,
                          auto&& value_of) {
    out.family(fmt::format("millrace_view_{}", name), type, help);
    for (const view_status& view : views)
      out.sample(value_of(view), {{"view", view.plan.name}});
  };
  using view = const view_status&;
  family("records_folded_total", "counter", "records that went into a window",
         [](view v) { return v.counts.folded; });
  family("records_filtered_total", "counter", "records that the filter did not take",
         [](view v) { return v.counts.filtered; });
  family("records_late_total", "counter", "records below their shard's watermark: in no window",
         [](view v) { return v.counts.late; });
  family("records_no_time_total", "counter", "records without a time: in no window",
         [](view v) { return v.counts.no_time; });
  family("records_future_total", "counter", "records too far in the future to move a watermark",
         [](view v) { return v.counts.future; });
  family("records_left_out_total", "counter", "records for whose group or window was no room",
         [](view v) { return v.counts.left_out; });
  family("wrong_type_fields_total", "counter", "fields that could not be read as their type",
         [](view v) { return v.counts.nulls; });
  family("closed_rows_total", "counter", "rows of closed windows",
         [](view v) { return v.closed_rows; });
  family("emissions_total", "counter", "emissions of closed windows",
         [](view v) { return v.next_ordinal; });
  family("groups", "gauge", "groups of the open windows", [](view v) { return v.size.groups; });
  family("windows_open", "gauge", "open windows (panes, where windows hop)",
         [](view v) { return v.size.windows; });
  family("state_bytes", "gauge", "memory of the open windows", [](view v) { return v.size.bytes; });
  family("behind_seconds", "gauge", "arrival of the newest durable record less that folded",
         [](view v) { return static_cast<double>(v.behind_us) * 1e-6; });
  family("fault", "gauge", "1 while the view does not go on, or goes on elsewhere",
         [](view v) { return std::uint64_t{v.fault.empty() ? 0u : 1u}; });

  const auto now = static_cast<std::int64_t>(wall_us());
  out.family("millrace_view_watermark_lag_seconds", "gauge",
             "the clock less the view's watermark: windows that end later are open");
  for (const view_status& one : views) {
    if (one.watermark_us != shard_clock::never)
      out.sample(static_cast<double>(now - one.watermark_us) * 1e-6, {{"view", one.plan.name}});
  }
  out.family("millrace_window", "gauge", "the newest closed window, where a view says metrics");
  for (const view_status& one : views) {
    if (one.plan.as_metrics) write_windows(out, one);
  }
  out.family("millrace_window_end_seconds", "gauge", "the end of that window, since 1970");
  for (const view_status& one : views) {
    if (!one.plan.as_metrics) continue;
    const auto newest = views_->read(one.plan.name, {.rows_max = 1});
    if (newest.ok() && !newest->rows.empty())
      out.sample(static_cast<double>(newest->rows[0].end_us) * 1e-6, {{"view", one.plan.name}});
  }
}

/// The rows that end with the newest closed window, each value a sample. Nulls are left out.
void admin_views::write_windows(metrics_text& out, const view_status& view) const {
  const auto rows = views_->read(view.plan.name, {.rows_max = metric_rows_max});
  if (!rows.ok() || rows->rows.empty()) return;
  const view_columns columns(view.plan);
  std::vector<std::string> names;
  for (const view_column& key : columns.keys) {
    std::string name = label_name(key.name);
    while (std::find(names.begin(), names.end(), name) != names.end())
      name += '_';
    names.push_back(std::move(name));
  }
  std::int64_t newest_us = rows->rows[0].end_us;
  for (const window_rows::row& row : rows->rows)
    newest_us = std::max(newest_us, row.end_us);
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    if (rows->rows[row].end_us != newest_us) continue;
    const auto values = decode_row(columns, *rows, row);
    metrics_text::label_list labels{{"view", view.plan.name}, {"value", ""}};
    for (std::size_t i = 0; i < names.size(); ++i)
      labels.emplace_back(names[i], value_text(values[i], columns.keys[i].type));
    for (std::size_t i = 0; i < columns.values.size(); ++i) {
      const view_value& value = values[columns.keys.size() + i];
      if (std::holds_alternative<std::monostate>(value)) continue;
      labels[1].second = columns.values[i].name;
      out.sample(number_of(value), labels);
    }
  }
}

}  // namespace millrace
