#pragma once
/// From a plan's fields to the tables of an extract_program.
#include <span>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/view_plan.h"

namespace millrace {

/// `invalid_argument` names the field and what is wrong with it.
result<std::vector<std::byte>> compile_extract_tables(record_layout layout, char csv_delimiter,
                                                      std::span<const field_plan> fields);

}  // namespace millrace
