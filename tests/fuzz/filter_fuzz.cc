#include <string_view>

#include "analytics/filter_text.h"
#include "base/check.h"

/// Whatever a filter or a call says is an error or a plan that prints as the same plan.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  view_plan plan;
  plan.layout = record_layout::access_log;
  const auto add = [&](const char* name, field_type type) {
    plan.fields.push_back({.name = name, .type = type, .source = builtin_field::shard});
  };
  add("i", field_type::int64);
  add("f", field_type::float64);
  add("s", field_type::string);
  add("b", field_type::boolean);
  add("t", field_type::timestamp);
  field_scope fields(plan);

  if (auto filter = parse_filter(text, fields); filter.ok()) {
    const std::string printed = filter_text(*filter, plan);
    auto again = parse_filter(printed, fields);
    MILLRACE_CHECK(again.ok(), "what is printed can be read");
    MILLRACE_CHECK(filter_text(*again, plan) == printed, "and means the same");
  }
  if (auto call = parse_aggregate(text, fields); call.ok()) {
    const std::string printed = aggregate_text(*call, plan);
    auto again = parse_aggregate(printed, fields);
    MILLRACE_CHECK(again.ok(), "what is printed can be read");
    MILLRACE_CHECK(aggregate_text(*again, plan) == printed, "and means the same");
  }
  return 0;
}
