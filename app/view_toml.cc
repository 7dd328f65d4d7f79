#include <fmt/format.h>

#include "analytics/filter_text.h"
#include "analytics/time_text.h"
#include "app/config_text.h"
#include "app/field_text.h"
#include "app/view_config.h"

namespace millrace {
namespace {

struct source_text {
  std::string operator()(const json_source& source) const {
    return fmt::format(", path = {}", toml_quoted(source.path));
  }
  std::string operator()(const csv_source& source) const {
    return fmt::format(", column = {}", source.column + 1);
  }
  std::string operator()(const access_log_source& source) const {
    return fmt::format(", part = \"{}\"", to_string(source.part));
  }
  std::string operator()(const binary_source& source) const {
    std::string out =
        fmt::format(", offset = {}, as = \"{}\"", source.offset, to_string(source.kind));
    if (source.kind == binary_kind::text) out += fmt::format(", bytes = {}", source.bytes);
    if (source.big_endian) out += ", endian = \"big\"";
    return out;
  }
  std::string operator()(builtin_field field) const {
    return fmt::format(", builtin = \"{}\"", to_string(field));
  }
};

std::string window_text(const window_plan& window) {
  std::string out;
  switch (window.kind) {
    case window_kind::tumbling:
      out = fmt::format("tumbling = \"{}\"", duration_text(window.size_us));
      break;
    case window_kind::hopping:
      out = fmt::format("hopping = \"{}\", by = \"{}\"", duration_text(window.size_us),
                        duration_text(window.hop_us));
      break;
    case window_kind::session:
      return fmt::format("{{ session = \"{}\" }}", duration_text(window.size_us));
  }
  if (window.offset_us != 0)
    out += fmt::format(", offset = \"{}\"", duration_text(window.offset_us));
  return "{ " + out + " }";
}

}  // namespace

std::string view_toml(const view_plan& plan) {
  std::string out = "[[view]]\n";
  const auto add = [&](std::string_view key, const std::string& value) {
    out += fmt::format("{} = {}\n", key, value);
  };
  const auto duration = [](std::int64_t us) { return toml_quoted(duration_text(us)); };
  add("name", toml_quoted(plan.name));
  add("stream", toml_quoted(plan.stream));
  add("layout", toml_quoted(to_string(plan.layout)));
  if (plan.layout == record_layout::csv)
    add("delimiter", toml_quoted(std::string(1, plan.csv_delimiter)));
  if (plan.filter) add("where", toml_quoted(filter_text(*plan.filter, plan)));
  if (plan.time_field) add("time", toml_quoted(plan.fields[*plan.time_field].name));
  add("delay", duration(plan.delay_us));
  add("future_max", duration(plan.future_max_us));
  add("idle", duration(plan.idle_us));
  add("window", window_text(plan.window));
  std::string groups;
  for (const std::uint16_t field : plan.group_by)
    groups += (groups.empty() ? "" : ", ") + toml_quoted(plan.fields[field].name);
  add("group_by", "[" + groups + "]");
  if (plan.top)
    add("top",
        fmt::format("{{ by = {}, k = {} }}", toml_quoted(plan.aggregates[plan.top->aggregate].name),
                    plan.top->count));
  add("limits", fmt::format("{{ groups = {}, windows = {}, state = {} }}", plan.groups_max,
                            plan.windows_max, plan.state_bytes_max));
  add("metrics", plan.as_metrics ? "true" : "false");
  if (!plan.fields.empty()) out += "[view.fields]\n";
  for (const field_plan& field : plan.fields)
    add(toml_quoted(field.name), fmt::format("{{ type = \"{}\"{} }}", type_text(field),
                                             std::visit(source_text(), field.source)));
  if (!plan.aggregates.empty()) out += "[view.aggregates]\n";
  for (const aggregate_plan& aggregate : plan.aggregates)
    add(toml_quoted(aggregate.name), toml_quoted(aggregate_text(aggregate, plan)));
  return out;
}

}  // namespace millrace
