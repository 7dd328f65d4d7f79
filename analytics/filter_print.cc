#include <array>
#include <charconv>

#include "analytics/filter_text.h"
#include "analytics/time_text.h"

namespace millrace {
namespace {

using op = filter_plan::kind;

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

std::string double_text(double value) {
  std::array<char, 32> digits{};
  const auto [end, problem] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), end};
}

std::string literal_text(const filter_plan::literal& value, field_type type) {
  if (const auto* number = std::get_if<std::int64_t>(&value))
    return type == field_type::timestamp ? quoted(instant_text(*number), '\'')
                                         : std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) return double_text(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return quoted(std::get<std::string>(value), '\'');
}

std::string like_text(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return quoted(pattern + '%', '\'');
}

std::string_view sign_of(op what) {
  switch (what) {
    case op::equal:
      return "= ";
    case op::not_equal:
      return "!= ";
    case op::less:
      return "< ";
    case op::less_equal:
      return "<= ";
    case op::greater:
      return "> ";
    default:
      return ">= ";
  }
}

std::string list_text(const filter_plan& test, field_type type) {
  std::string out;
  for (const auto& value : test.values)
    out += (out.empty() ? "" : ", ") + literal_text(value, type);
  return "(" + out + ")";
}

/// field >= low and field <= high: how the parser writes `between`.
bool is_between(const filter_plan& filter) {
  return filter.op == op::all_of && filter.parts.size() == 2 &&
         filter.parts[0].op == op::greater_equal && filter.parts[1].op == op::less_equal &&
         filter.parts[0].field == filter.parts[1].field;
}

/// A filter that is about one field. `word` is "" or "not ": where the language has it inside.
std::string test_text(const filter_plan& test, const view_plan& plan, std::string_view word) {
  const filter_plan& one = is_between(test) ? test.parts[0] : test;
  const field_plan& field = plan.fields[one.field];
  const std::string name = quoted(field.name, '"') + " ";
  const std::string verb(word);
  switch (test.op) {
    case op::all_of:
      return name + verb + "between " + literal_text(test.parts[0].values[0], field.type) +
             " and " + literal_text(test.parts[1].values[0], field.type);
    case op::is_null:
      return name + "is " + verb + "null";
    case op::has_prefix:
      return name + verb + "like " + like_text(std::get<std::string>(test.values[0]));
    case op::one_of:
      return name + verb + "in " + list_text(test, field.type);
    default:
      return name + std::string(sign_of(test.op)) + literal_text(test.values[0], field.type);
  }
}

bool takes_not(const filter_plan& test) {
  return test.op == op::is_null || test.op == op::has_prefix || test.op == op::one_of ||
         is_between(test);
}

}  // namespace

/// Never nested deeper than the text it came from, so that it can be read back.
std::string filter_text(const filter_plan& filter, const view_plan& plan) {
  const auto nested = [&](const filter_plan& part, bool parentheses) {
    const std::string text = filter_text(part, plan);
    return parentheses ? "(" + text + ")" : text;
  };
  if (filter.op == op::negation) {
    const filter_plan& part = filter.parts[0];
    if (takes_not(part)) return test_text(part, plan, "not ");
    return "not " + nested(part, part.op == op::all_of || part.op == op::any_of);
  }
  if (is_between(filter) || (filter.op != op::all_of && filter.op != op::any_of))
    return test_text(filter, plan, "");
  std::string out;
  for (const filter_plan& part : filter.parts) {
    if (!out.empty()) out += filter.op == op::all_of ? " and " : " or ";
    const bool ands = part.op == op::all_of && !is_between(part);
    out += nested(part, part.op == op::any_of || (ands && filter.op == op::all_of));
  }
  return out;
}

std::string aggregate_text(const aggregate_plan& aggregate, const view_plan& plan) {
  std::string out(to_string(aggregate.kind));
  if (!aggregate.field) return out;
  out += "(" + quoted(plan.fields[*aggregate.field].name, '"');
  if (aggregate.kind == aggregate_kind::approx_percentile)
    out += ", " + double_text(aggregate.quantile);
  return out + ")";
}

}  // namespace millrace
