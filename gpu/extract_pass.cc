#include "gpu/extract_pass.h"

#include <algorithm>
#include <string>

#include "base/limits.h"

namespace millrace {
namespace {

bool is_same(const json_source& a, const json_source& b) {
  return a.path == b.path;
}
bool is_same(const csv_source& a, const csv_source& b) {
  return a.column == b.column;
}
bool is_same(const access_log_source& a, const access_log_source& b) {
  return a.part == b.part;
}
bool is_same(const binary_source& a, const binary_source& b) {
  return a.offset == b.offset && a.bytes == b.bytes && a.kind == b.kind &&
         a.big_endian == b.big_endian;
}
bool is_same(builtin_field a, builtin_field b) {
  return a == b;
}

/// Whether they extract to the same values, whatever their names.
bool is_same_field(const field_plan& a, const field_plan& b) {
  if (a.type != b.type || a.source.index() != b.source.index()) return false;
  if (a.type == field_type::timestamp && a.format != b.format) return false;
  return std::visit(
      [&](const auto& source) {
        return is_same(source, std::get<std::decay_t<decltype(source)>>(b.source));
      },
      a.source);
}

}  // namespace

result<std::vector<extract_pass>> plan_passes(std::span<const view_plan> plans) {
  std::vector<extract_pass> passes;
  for (std::uint32_t number = 0; number < plans.size(); ++number) {
    const view_plan& plan = plans[number];
    auto pass = std::ranges::find_if(passes, [&](const extract_pass& one) {
      return one.layout == plan.layout && one.csv_delimiter == plan.csv_delimiter;
    });
    if (pass == passes.end()) {
      passes.push_back({plan.layout, plan.csv_delimiter, {}, {}});
      pass = passes.end() - 1;
    }
    extract_pass::view view{number, {}};
    for (const field_plan& field : plan.fields) {
      const auto found = std::ranges::find_if(
          pass->fields, [&](const field_plan& one) { return is_same_field(one, field); });
      view.columns.push_back(static_cast<std::uint16_t>(found - pass->fields.begin()));
      if (found == pass->fields.end()) pass->fields.push_back(field);
    }
    if (pass->fields.size() > limits::extract_fields_max) {
      return error(error_code::exhausted,
                   "view '" + plan.name + "': the views of stream '" + plan.stream + "' want " +
                       std::to_string(pass->fields.size()) + " different fields, the limit is " +
                       std::to_string(limits::extract_fields_max));
    }
    pass->views.push_back(std::move(view));
  }
  return passes;
}

}  // namespace millrace
