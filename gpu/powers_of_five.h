#pragma once
/// The table that double_round.h multiplies by.
#include <array>

#include "gpu/double_round.h"

namespace millrace {

/// Made at the first call; thread-safe.
const std::array<power_of_five, powers_of_five>& power_of_five_table();

}  // namespace millrace
