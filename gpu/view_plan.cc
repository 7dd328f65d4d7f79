#include "gpu/view_plan.h"

#include <algorithm>
#include <limits>

#include "base/limits.h"
#include "gpu/window_math.h"

namespace millrace {
namespace {

constexpr std::size_t group_fields_max = 16;
constexpr std::size_t aggregates_max = 64;
constexpr std::size_t filter_nesting_max = 32;
constexpr std::size_t filter_terms_max = 1024;
constexpr std::size_t filter_text_bytes_max = 1024;
constexpr std::size_t name_chars_max = 128;
constexpr std::uint32_t panes_of_a_window_max = 3600 * 24;
constexpr std::uint64_t groups_max = 1ull << 32;
constexpr std::uint32_t windows_max = 1u << 20;
constexpr std::uint64_t state_bytes_min = 64 * limits::kib;

std::string quoted(std::string_view name) {
  return "'" + std::string(name) + "'";
}

/// Every complaint names the view.
class checker {
 public:
  explicit checker(const view_plan& plan) : plan_(plan) {}

  status run() const {
    MILLRACE_TRY(check_name());
    MILLRACE_TRY(check_fields());
    if (plan_.filter) {
      std::size_t terms = 0;
      MILLRACE_TRY(check_filter(*plan_.filter, 1, terms));
    }
    MILLRACE_TRY(check_group());
    MILLRACE_TRY(check_window());
    MILLRACE_TRY(check_times());
    MILLRACE_TRY(check_aggregates());
    MILLRACE_TRY(check_top());
    return check_limits();
  }

 private:
  error wrong(const std::string& what) const {
    return {error_code::invalid_argument, "view " + quoted(plan_.name) + ": " + what};
  }
  const field_plan& field(std::size_t index) const { return plan_.fields[index]; }

  status check_name() const {
    const bool is_plain = std::ranges::all_of(plan_.name, [](unsigned char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.';
    });
    if (plan_.name.empty() || plan_.name.size() > name_chars_max || !is_plain) {
      return wrong("its name must be 1 to " + std::to_string(name_chars_max) +
                   " of letters, digits, '_', '-' and '.'");
    }
    if (plan_.stream.empty()) return wrong("names no stream");
    return {};
  }

  status check_fields() const;
  status check_source(const field_plan& one) const;
  status check_filter(const filter_plan& part, std::size_t depth, std::size_t& terms) const;
  status check_comparison(const filter_plan& part) const;
  status check_group() const;
  status check_window() const;
  status check_times() const;
  status check_aggregates() const;
  status check_aggregate(const aggregate_plan& one) const;
  status check_top() const;
  status check_limits() const;

  const view_plan& plan_;
};

status checker::check_fields() const {
  if (plan_.fields.size() > limits::extract_fields_max) {
    return wrong("has " + std::to_string(plan_.fields.size()) + " fields, the limit is " +
                 std::to_string(limits::extract_fields_max));
  }
  for (std::size_t i = 0; i < plan_.fields.size(); ++i) {
    const field_plan& one = plan_.fields[i];
    if (one.name.empty()) return wrong("field " + std::to_string(i) + " has no name");
    for (std::size_t j = 0; j < i; ++j) {
      if (field(j).name == one.name) return wrong("field " + quoted(one.name) + " is there twice");
    }
    MILLRACE_TRY(check_source(one));
  }
  const auto delimiter = static_cast<unsigned char>(plan_.csv_delimiter);
  if (plan_.layout == record_layout::csv &&
      (delimiter == '"' || delimiter == '\r' || delimiter == '\n' || delimiter >= 0x80)) {
    return wrong("a CSV delimiter is one ASCII character, not a quote and no end of line");
  }
  return {};
}

field_type type_of_builtin(builtin_field which) {
  switch (which) {
    case builtin_field::partition_key:
      return field_type::string;
    case builtin_field::arrival_time:
      return field_type::timestamp;
    default:
      return field_type::int64;
  }
}

record_layout layout_of(const field_plan& one) {
  constexpr record_layout layouts[] = {record_layout::json, record_layout::csv,
                                       record_layout::access_log, record_layout::binary,
                                       record_layout::none};
  return layouts[one.source.index()];
}

status checker::check_source(const field_plan& one) const {
  const std::string name = "field " + quoted(one.name);
  if (const auto* builtin = std::get_if<builtin_field>(&one.source)) {
    if (type_of_builtin(*builtin) == one.type) return {};
    return wrong(name + " is a built-in " + std::string(to_string(type_of_builtin(*builtin))) +
                 ", not a " + std::string(to_string(one.type)));
  }
  if (layout_of(one) != plan_.layout) {
    return wrong(name + " is of another layout than the view's records");
  }
  if (const auto* json = std::get_if<json_source>(&one.source); json && json->path.empty()) {
    return wrong(name + " has an empty path");
  }
  if (const auto* binary = std::get_if<binary_source>(&one.source)) {
    if ((binary->kind == binary_kind::text) != (one.type == field_type::string)) {
      return wrong(name + ": text and only text is read as string");
    }
    if (binary->kind == binary_kind::text && binary->bytes == 0) {
      return wrong(name + " has a width of 0 bytes");
    }
    if (binary->offset > limits::record_payload_bytes_max ||
        binary->bytes > limits::record_payload_bytes_max) {
      return wrong(name + " lies beyond " + std::to_string(limits::record_payload_bytes_max) +
                   " bytes, the longest record");
    }
  }
  return {};
}

std::size_t literal_of(field_type type) {
  switch (type) {
    case field_type::float64:
      return 1;
    case field_type::string:
      return 2;
    case field_type::boolean:
      return 3;
    default:
      return 0;
  }
}

status checker::check_filter(const filter_plan& part, std::size_t depth, std::size_t& terms) const {
  using kind = filter_plan::kind;
  if (depth > filter_nesting_max) {
    return wrong("the filter is nested deeper than " + std::to_string(filter_nesting_max));
  }
  terms += 1 + part.values.size();
  if (terms > filter_terms_max) {
    return wrong("the filter has more than " + std::to_string(filter_terms_max) + " terms");
  }
  const bool has_parts =
      part.op == kind::all_of || part.op == kind::any_of || part.op == kind::negation;
  if (!has_parts) return check_comparison(part);
  if (part.parts.empty()) return wrong("an and, or or not of the filter is of nothing");
  if (part.op == kind::negation && part.parts.size() != 1) {
    return wrong("a not of the filter is of " + std::to_string(part.parts.size()) + " parts");
  }
  for (const filter_plan& one : part.parts)
    MILLRACE_TRY(check_filter(one, depth + 1, terms));
  return {};
}

status checker::check_comparison(const filter_plan& part) const {
  using kind = filter_plan::kind;
  if (part.field >= plan_.fields.size()) {
    return wrong("the filter names field " + std::to_string(part.field) + " of " +
                 std::to_string(plan_.fields.size()));
  }
  const field_plan& of = field(part.field);
  const std::string name = "the filter on " + quoted(of.name);
  if (part.op == kind::is_null) {
    return part.values.empty() ? status() : wrong(name + ": is null takes no value");
  }
  if (part.values.empty() || (part.op != kind::one_of && part.values.size() != 1)) {
    return wrong(name + " has " + std::to_string(part.values.size()) + " values");
  }
  if (part.op == kind::has_prefix && of.type != field_type::string) {
    return wrong(name + ": only strings have a prefix");
  }
  for (const filter_plan::literal& value : part.values) {
    if (value.index() != literal_of(of.type)) {
      return wrong(name + " compares a " + std::string(to_string(of.type)) +
                   " with a value of another type");
    }
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && text->size() > filter_text_bytes_max) {
      return wrong(name + " compares with a string of " + std::to_string(text->size()) +
                   " bytes, the limit is " + std::to_string(filter_text_bytes_max));
    }
  }
  return {};
}

status checker::check_group() const {
  if (plan_.group_by.size() > group_fields_max) {
    return wrong("groups by " + std::to_string(plan_.group_by.size()) + " fields, the limit is " +
                 std::to_string(group_fields_max));
  }
  for (const std::uint16_t index : plan_.group_by) {
    if (index >= plan_.fields.size()) {
      return wrong("groups by field " + std::to_string(index) + " of " +
                   std::to_string(plan_.fields.size()));
    }
  }
  return {};
}

status checker::check_window() const {
  const window_plan& window = plan_.window;
  const std::string size = std::to_string(window.size_us);
  if (window.size_us < 1 || window.size_us > window_us_max) {
    return wrong("a window of " + size + " us; it must be 1 to " + std::to_string(window_us_max));
  }
  if (window.kind == window_kind::session) return {};
  if (window.kind == window_kind::tumbling && window.hop_us != window.size_us) {
    return wrong("a tumbling window hops by its size, " + size + " us, not by " +
                 std::to_string(window.hop_us));
  }
  if (window.hop_us < 1 || window.size_us % window.hop_us != 0) {
    return wrong("the hop of " + std::to_string(window.hop_us) +
                 " us does not divide the window of " + size + " us");
  }
  if (window.size_us / window.hop_us > panes_of_a_window_max) {
    return wrong("a window of " + std::to_string(window.size_us / window.hop_us) +
                 " hops, the limit is " + std::to_string(panes_of_a_window_max));
  }
  if (window.offset_us < 0 || window.offset_us >= window.hop_us) {
    return wrong("the offset of " + std::to_string(window.offset_us) +
                 " us is not within the hop of " + std::to_string(window.hop_us) + " us");
  }
  return {};
}

status checker::check_times() const {
  if (plan_.time_field) {
    if (*plan_.time_field >= plan_.fields.size()) {
      return wrong("the time is field " + std::to_string(*plan_.time_field) + " of " +
                   std::to_string(plan_.fields.size()));
    }
    if (field(*plan_.time_field).type != field_type::timestamp) {
      return wrong("the time " + quoted(field(*plan_.time_field).name) + " is no timestamp");
    }
  }
  const auto in_range = [&](std::string_view name, std::int64_t us) -> status {
    if (us >= 0 && us <= window_us_max) return {};
    return wrong(std::string(name) + " of " + std::to_string(us) + " us; it must be 0 to " +
                 std::to_string(window_us_max));
  };
  MILLRACE_TRY(in_range("a delay", plan_.delay_us));
  MILLRACE_TRY(in_range("a future_max", plan_.future_max_us));
  return in_range("an idle time", plan_.idle_us);
}

status checker::check_aggregates() const {
  if (plan_.aggregates.empty() || plan_.aggregates.size() > aggregates_max) {
    return wrong("has " + std::to_string(plan_.aggregates.size()) +
                 " aggregates; it must be 1 to " + std::to_string(aggregates_max));
  }
  for (std::size_t i = 0; i < plan_.aggregates.size(); ++i) {
    const aggregate_plan& one = plan_.aggregates[i];
    if (one.name.empty()) return wrong("aggregate " + std::to_string(i) + " has no name");
    for (std::size_t j = 0; j < i; ++j) {
      if (plan_.aggregates[j].name == one.name) {
        return wrong("aggregate " + quoted(one.name) + " is there twice");
      }
    }
    MILLRACE_TRY(check_aggregate(one));
  }
  return {};
}

/// Which types an aggregate can be of.
bool takes(aggregate_kind kind, field_type type) {
  switch (kind) {
    case aggregate_kind::count:
    case aggregate_kind::approx_count_distinct:
      return true;
    case aggregate_kind::min:
    case aggregate_kind::max:
    case aggregate_kind::first:
    case aggregate_kind::last:
      return type != field_type::string;
    default:
      return type == field_type::int64 || type == field_type::float64;
  }
}

status checker::check_aggregate(const aggregate_plan& one) const {
  const std::string name =
      "aggregate " + quoted(one.name) + ": " + std::string(to_string(one.kind));
  if (!one.field) {
    return one.kind == aggregate_kind::count ? status() : wrong(name + " needs a field");
  }
  if (*one.field >= plan_.fields.size()) {
    return wrong(name + " is of field " + std::to_string(*one.field) + " of " +
                 std::to_string(plan_.fields.size()));
  }
  const field_plan& of = field(*one.field);
  if (!takes(one.kind, of.type)) {
    return wrong(name + " of the " + std::string(to_string(of.type)) + " field " + quoted(of.name) +
                 " is not supported");
  }
  if (one.kind == aggregate_kind::approx_percentile && !(one.quantile >= 0 && one.quantile <= 1)) {
    return wrong(name + " at " + std::to_string(one.quantile) + "; it must be 0 to 1");
  }
  return {};
}

status checker::check_top() const {
  if (!plan_.top) return {};
  if (plan_.top->aggregate >= plan_.aggregates.size()) {
    return wrong("the top rows go by aggregate " + std::to_string(plan_.top->aggregate) + " of " +
                 std::to_string(plan_.aggregates.size()));
  }
  if (plan_.top->count == 0) return wrong("the top 0 rows");
  if (plan_.window.kind == window_kind::session) {
    return wrong(
        "the top rows of sessions: each has its own times, so there is nothing to compare");
  }
  return {};
}

status checker::check_limits() const {
  const auto in_range = [&](std::string_view name, std::uint64_t value, std::uint64_t least,
                            std::uint64_t most) -> status {
    if (value >= least && value <= most) return {};
    return wrong(std::string(name) + " of " + std::to_string(value) + "; it must be " +
                 std::to_string(least) + " to " + std::to_string(most));
  };
  const window_plan& window = plan_.window;
  const std::int64_t panes =
      window.kind == window_kind::hopping ? window.size_us / window.hop_us : 1;
  MILLRACE_TRY(in_range("groups_max", plan_.groups_max, 1, groups_max));
  MILLRACE_TRY(
      in_range("windows_max", plan_.windows_max, static_cast<std::uint64_t>(panes), windows_max));
  return in_range("state_bytes_max", plan_.state_bytes_max, state_bytes_min,
                  std::numeric_limits<std::int64_t>::max());
}

}  // namespace

status check(const view_plan& plan) {
  return checker(plan).run();
}

std::string_view to_string(field_type type) {
  constexpr std::string_view names[] = {"int64", "float64", "string", "boolean", "timestamp"};
  return names[static_cast<std::size_t>(type)];
}

std::string_view to_string(window_kind kind) {
  constexpr std::string_view names[] = {"tumbling", "hopping", "session"};
  return names[static_cast<std::size_t>(kind)];
}

std::string_view to_string(aggregate_kind kind) {
  constexpr std::string_view names[] = {
      "count", "sum", "min", "max", "avg", "stddev", "approx_count_distinct", "approx_percentile",
      "first", "last"};
  return names[static_cast<std::size_t>(kind)];
}

field_type type_of(const aggregate_plan& aggregate, const view_plan& plan) {
  switch (aggregate.kind) {
    case aggregate_kind::count:
    case aggregate_kind::approx_count_distinct:
      return field_type::int64;
    case aggregate_kind::avg:
    case aggregate_kind::stddev:
    case aggregate_kind::approx_percentile:
      return field_type::float64;
    default:
      return plan.fields[*aggregate.field].type;
  }
}

}  // namespace millrace
