#include "analytics/plan_text.h"

#include <charconv>
#include <map>
#include <type_traits>
#include <vector>

namespace millrace {
namespace {

template <class Number>
std::string text_of(Number value) {
  if constexpr (std::is_enum_v<Number>) {
    return std::to_string(static_cast<int>(value));
  } else {
    char digits[64];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return {digits, end};
  }
}

/// Quoted, so that no text looks like two.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '\n') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out + '"';
}

struct source_text {
  std::string operator()(const json_source& one) const { return "json " + quoted(one.path); }
  std::string operator()(const csv_source& one) const { return "csv " + text_of(one.column); }
  std::string operator()(const access_log_source& one) const {
    return "access_log " + text_of(one.part);
  }
  std::string operator()(const binary_source& one) const {
    return "binary " + text_of(one.offset) + " " + text_of(one.bytes) + " " + text_of(one.kind) +
           (one.big_endian ? " big" : " little");
  }
  std::string operator()(builtin_field one) const { return "builtin " + text_of(one); }
};

struct literal_text {
  std::string operator()(std::int64_t value) const { return text_of(value); }
  std::string operator()(double value) const { return "double " + text_of(value); }
  std::string operator()(const std::string& value) const { return quoted(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
};

std::string filter_text(const filter_plan& filter) {
  std::string out = "(" + text_of(filter.op) + " " + text_of(filter.field);
  for (const filter_plan::literal& value : filter.values)
    out += " " + std::visit(literal_text(), value);
  for (const filter_plan& part : filter.parts)
    out += " " + filter_text(part);
  return out + ")";
}

std::map<std::string, std::string> parts_of(const std::string& text) {
  std::map<std::string, std::string> parts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const std::size_t middle = line.find(" = ");
    if (middle != std::string::npos) parts[line.substr(0, middle)] = line.substr(middle + 3);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return parts;
}

}  // namespace

std::string plan_text(const view_plan& plan) {
  std::string out;
  const auto add = [&out](const std::string& part, const std::string& value) {
    out += part + " = " + value + "\n";
  };
  add("stream", quoted(plan.stream));
  add("layout", text_of(plan.layout));
  if (plan.layout == record_layout::csv) add("delimiter", text_of(int{plan.csv_delimiter}));
  for (std::size_t i = 0; i < plan.fields.size(); ++i) {
    const field_plan& one = plan.fields[i];
    std::string value = quoted(one.name) + " " + std::string(to_string(one.type)) + " " +
                        std::visit(source_text(), one.source);
    if (one.type == field_type::timestamp) value += " " + text_of(one.format);
    add("field " + std::to_string(i), value);
  }
  if (plan.filter) add("filter", filter_text(*plan.filter));
  std::string groups;
  for (const std::uint16_t field : plan.group_by)
    groups += text_of(field) + " ";
  add("group_by", groups);
  add("window", std::string(to_string(plan.window.kind)) + " " + text_of(plan.window.size_us) + " " +
                    text_of(plan.window.hop_us) + " " + text_of(plan.window.offset_us));
  add("time_field", plan.time_field ? text_of(*plan.time_field) : "arrival");
  for (std::size_t i = 0; i < plan.aggregates.size(); ++i) {
    const aggregate_plan& one = plan.aggregates[i];
    add("aggregate " + std::to_string(i),
        quoted(one.name) + " " + std::string(to_string(one.kind)) + " " +
            (one.field ? text_of(*one.field) : "records") + " " + text_of(one.quantile));
  }
  if (plan.top) add("top", text_of(plan.top->aggregate) + " " + text_of(plan.top->count));
  add("delay_us", text_of(plan.delay_us));
  add("future_max_us", text_of(plan.future_max_us));
  add("idle_us", text_of(plan.idle_us));
  return out;
}

std::string plan_difference(const std::string& before, const std::string& now) {
  const auto old_parts = parts_of(before);
  const auto new_parts = parts_of(now);
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  for (const auto& [part, value] : new_parts) {
    const auto old = old_parts.find(part);
    if (old == old_parts.end()) {
      add(part + " = " + value + " (new)");
    } else if (old->second != value) {
      add(part + " = " + value + " (was " + old->second + ")");
    }
  }
  for (const auto& [part, value] : old_parts) {
    if (!new_parts.contains(part)) add(part + " is gone (was " + value + ")");
  }
  return out;
}

}  // namespace millrace
