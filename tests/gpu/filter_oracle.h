#pragma once
/// Filters by their definition, with SQL's three values (view_plan.h).
#include <algorithm>
#include <optional>
#include <string>
#include <variant>

#include "gpu/view_plan.h"
#include "tests/gpu/plain_record.h"

namespace millrace::testing {

/// Three-valued: nothing is unknown.
inline std::optional<bool> passes(const filter_plan& part, const plain_record& record) {
  using kind = filter_plan::kind;
  if (part.op == kind::all_of || part.op == kind::any_of) {
    // The first of false (all) or true (any) decides; else unknown, if any is.
    const bool decides = part.op == kind::any_of;
    bool is_unknown = false;
    for (const filter_plan& one : part.parts) {
      const std::optional<bool> value = passes(one, record);
      if (value == decides) return decides;
      is_unknown |= !value.has_value();
    }
    return is_unknown ? std::nullopt : std::optional(!decides);
  }
  if (part.op == kind::negation) {
    const std::optional<bool> value = passes(part.parts[0], record);
    return value ? std::optional(!*value) : std::nullopt;
  }
  const plain_value& value = record.fields[part.field];
  if (part.op == kind::is_null) return value.is_null;
  if (value.is_null) return std::nullopt;
  // NaN equals itself and stands above all numbers, as in the order of results.
  const auto compare = [&](const filter_plan::literal& with) -> int {
    if (const auto* text = std::get_if<std::string>(&with)) {
      return value.text < *text ? -1 : value.text == *text ? 0 : 1;
    }
    if (const auto* real = std::get_if<double>(&with)) {
      const bool a = value.real != value.real, b = *real != *real;
      if (a || b) return a == b ? 0 : a ? 1 : -1;
      return value.real < *real ? -1 : value.real == *real ? 0 : 1;
    }
    const std::int64_t integer = std::holds_alternative<bool>(with)
                                     ? std::int64_t{std::get<bool>(with)}
                                     : std::get<std::int64_t>(with);
    return value.integer < integer ? -1 : value.integer == integer ? 0 : 1;
  };
  switch (part.op) {
    case kind::equal:
      return compare(part.values[0]) == 0;
    case kind::not_equal:
      return compare(part.values[0]) != 0;
    case kind::less:
      return compare(part.values[0]) < 0;
    case kind::less_equal:
      return compare(part.values[0]) <= 0;
    case kind::greater:
      return compare(part.values[0]) > 0;
    case kind::greater_equal:
      return compare(part.values[0]) >= 0;
    case kind::one_of:
      return std::ranges::any_of(part.values, [&](const auto& one) { return compare(one) == 0; });
    default:
      return value.text.starts_with(std::get<std::string>(part.values[0]));
  }
}

}  // namespace millrace::testing
