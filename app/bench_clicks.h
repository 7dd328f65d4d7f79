#pragma once
/// The JSON that the benchmarks of views read: about 300 bytes, what is wanted spread over it.
#include <cstdint>
#include <string>
#include <string_view>

#include "gpu/view_plan.h"

namespace millrace {

/// One document; the same number gives the same one.
std::string click_json(std::uint32_t number);

/// A view of such records of stream "bench", with the three fields status, bytes and ms; windows of
/// one second of arrival, grouped by status.
view_plan click_plan(std::string_view name);

}  // namespace millrace
