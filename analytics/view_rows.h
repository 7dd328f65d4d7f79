#pragma once
/// A view's rows with names and values, for whoever shows them.
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gpu/fold.h"
#include "gpu/view_plan.h"

namespace millrace {

struct view_column {
  std::string name;
  field_type type{};
};

/// Null, int64 (timestamps too, in µs), double, boolean, string.
using view_value = std::variant<std::monostate, std::int64_t, double, bool, std::string>;

/// What a row of a view consists of, beside its window: group keys, then aggregates.
struct view_columns {
  explicit view_columns(const view_plan& plan);
  std::vector<view_column> keys;
  std::vector<view_column> values;
};

/// The group key and the aggregates of row `row`, in the columns' order. A key that is not of these
/// columns, which only a damaged store can hold, has nulls from there on.
std::vector<view_value> decode_row(const view_columns& columns, const window_rows& rows,
                                   std::size_t row);

}  // namespace millrace
