#include "api/view_json.h"

#include <cmath>

#include <fmt/format.h>

#include "analytics/filter_text.h"
#include "analytics/time_text.h"
#include "api/json_text.h"

namespace millrace {
namespace {

void append_value_json(std::string& out, const view_value& value, field_type type) {
  if (std::holds_alternative<std::monostate>(value)) {
    out += "null";
  } else if (type == field_type::timestamp) {
    out += '"' + instant_text(std::get<std::int64_t>(value)) + '"';
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    append_json_string(out, *text);
  } else if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) {
    out += "null";
  } else {
    out += value_text(value, type);
  }
}

/// Names of columns as JSON, each with its colon, made once for all rows.
std::vector<std::string> member_names(const view_columns& columns) {
  std::vector<std::string> out;
  const auto add = [&](const std::vector<view_column>& some) {
    for (const view_column& column : some) {
      std::string& name = out.emplace_back(",");
      append_json_string(name, column.name);
      name += ':';
    }
  };
  add(columns.keys);
  add(columns.values);
  return out;
}

field_type type_at(const view_columns& columns, std::size_t i) {
  return i < columns.keys.size() ? columns.keys[i].type
                                 : columns.values[i - columns.keys.size()].type;
}

/// Quoted where it has to be.
void append_csv(std::string& out, std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string window_json(const window_plan& window) {
  std::string out = fmt::format("{{\"kind\":\"{}\",\"size\":\"{}\"", to_string(window.kind),
                                duration_text(window.size_us));
  if (window.kind == window_kind::hopping)
    out += fmt::format(",\"by\":\"{}\"", duration_text(window.hop_us));
  if (window.offset_us != 0)
    out += fmt::format(",\"offset\":\"{}\"", duration_text(window.offset_us));
  return out + "}";
}

std::string columns_json(const view_plan& plan) {
  std::string out = "[";
  const view_columns columns(plan);
  const auto add = [&](const view_column& column, const std::string& rest) {
    if (out.size() > 1) out += ',';
    out += fmt::format("{{\"name\":{},\"type\":\"{}\"{}}}", quoted(column.name),
                       to_string(column.type), rest);
  };
  for (const view_column& column : columns.keys)
    add(column, ",\"key\":true");
  for (std::size_t i = 0; i < columns.values.size(); ++i)
    add(columns.values[i], ",\"is\":" + quoted(aggregate_text(plan.aggregates[i], plan)));
  return out + "]";
}

}  // namespace

std::string view_json(const view_status& view) {
  const fold_counts& counts = view.counts;
  std::string out =
      fmt::format("{{\"name\":{},\"stream\":{},\"backend\":{},\"fault\":{}", quoted(view.plan.name),
                  quoted(view.plan.stream), quoted(view.backend), quoted(view.fault));
  out += fmt::format(",\"window\":{},\"columns\":{}", window_json(view.plan.window),
                     columns_json(view.plan));
  if (view.plan.filter) out += ",\"where\":" + quoted(filter_text(*view.plan.filter, view.plan));
  out += ",\"watermark\":";
  out += view.watermark_us == shard_clock::never ? "null" : quoted(instant_text(view.watermark_us));
  out += fmt::format(
      ",\"behind_us\":{},\"records\":{{\"folded\":{},\"filtered\":{},\"late\":{},\"no_time\":{},"
      "\"future\":{},\"left_out\":{}}},\"wrong_type_fields\":{}",
      view.behind_us, counts.folded, counts.filtered, counts.late, counts.no_time, counts.future,
      counts.left_out, counts.nulls);
  out += fmt::format(
      ",\"open\":{{\"groups\":{},\"groups_max\":{},\"windows\":{},\"windows_max\":{},\"bytes\":{},"
      "\"bytes_max\":{}}},\"closed_rows\":{},\"next_ordinal\":{}}}",
      view.size.groups, view.plan.groups_max, view.size.windows, view.plan.windows_max,
      view.size.bytes, view.plan.state_bytes_max, view.closed_rows, view.next_ordinal);
  return out;
}

void append_rows_json(std::string& out, const view_columns& columns, const window_rows& rows,
                      std::size_t from, std::size_t to) {
  const auto names = member_names(columns);
  for (std::size_t row = from; row < to; ++row) {
    if (row > from) out += ',';
    out += "{\"window_start\":\"" + instant_text(rows.rows[row].start_us);
    out += "\",\"window_end\":\"" + instant_text(rows.rows[row].end_us) + '"';
    const auto values = decode_row(columns, rows, row);
    for (std::size_t i = 0; i < values.size(); ++i) {
      out += names[i];
      append_value_json(out, values[i], type_at(columns, i));
    }
    out += '}';
  }
}

std::string rows_csv(const view_columns& columns, const window_rows& rows) {
  std::string out = "window_start,window_end";
  for (const auto* some : {&columns.keys, &columns.values}) {
    for (const view_column& column : *some) {
      out += ',';
      append_csv(out, column.name);
    }
  }
  out += "\r\n";
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    out += instant_text(rows.rows[row].start_us) + ',' + instant_text(rows.rows[row].end_us);
    const auto values = decode_row(columns, rows, row);
    for (std::size_t i = 0; i < values.size(); ++i) {
      out += ',';
      append_csv(out, value_text(values[i], type_at(columns, i)));
    }
    out += "\r\n";
  }
  return out;
}

std::vector<std::string> key_texts(const view_columns& columns, const window_rows& rows,
                                   std::size_t row) {
  std::vector<std::string> out;
  const auto values = decode_row(columns, rows, row);
  for (std::size_t i = 0; i < columns.keys.size(); ++i)
    out.push_back(value_text(values[i], columns.keys[i].type));
  return out;
}

std::string value_text(const view_value& value, field_type type) {
  if (std::holds_alternative<std::monostate>(value)) return {};
  if (const auto* number = std::get_if<std::int64_t>(&value))
    return type == field_type::timestamp ? instant_text(*number) : std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return std::get<std::string>(value);
}

}  // namespace millrace
