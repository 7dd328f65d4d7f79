#pragma once
/// A view's plan as text, one "part = value" a line: equal texts are equal computations. What only
/// bounds or shows results is left out. Kept with the results, so that they are never mixed with
/// those of another plan.
#include <string>

#include "gpu/view_plan.h"

namespace millrace {

std::string plan_text(const view_plan& plan);
/// The first lines that differ: "delay_us = 5 (was 0)"; for people.
std::string plan_difference(const std::string& before, const std::string& now);

}  // namespace millrace
