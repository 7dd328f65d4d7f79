#pragma once
/// Which views' fields one pass over the records can find: those of one layout.
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "gpu/view_plan.h"

namespace millrace {

struct extract_pass {
  record_layout layout{};
  char csv_delimiter = ',';
  std::vector<field_plan> fields;  ///< of all its views, each once
  struct view {
    std::uint32_t number = 0;            ///< of the plans
    std::vector<std::uint16_t> columns;  ///< where each field of its plan is among `fields`
  };
  std::vector<view> views;
};

/// `exhausted` where the views of one layout want more than limits::extract_fields_max fields.
result<std::vector<extract_pass>> plan_passes(std::span<const view_plan> plans);

}  // namespace millrace
