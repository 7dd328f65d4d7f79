#pragma once
/// `[[view]]` in the configuration file: a continuous view. docs/views.md is its reference.
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gpu/view_plan.h"

namespace millrace {

/// The views of a configuration file's text, in its order, each of them checked; whatever else is
/// in it is left alone. `invalid_argument` names `source`, line, view and key of what is wrong.
result<std::vector<view_plan>> load_views(std::string_view text, std::string_view source);

/// A `[[view]]` that gives the same plan; everything is written out.
std::string view_toml(const view_plan& plan);

}  // namespace millrace
