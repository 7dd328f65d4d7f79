#pragma once
/// What the memory alone allows a fold of many groups: rows of one cache line, changed in random
/// order.
#include <cstdint>

namespace millrace {

/// How a row is come to: by its number, or as in a table of groups, by a slot that has its address.
enum class row_access : std::uint8_t { direct, by_slot };

/// Rows changed a second of one core's time, each in a count, a sum, a least and a greatest;
/// fetched ahead, by as many as serves best, and nothing else to do. The memory is the fold's own
/// kind.
double row_change_rate(std::uint32_t rows, row_access access, double seconds);

}  // namespace millrace
