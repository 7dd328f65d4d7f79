#pragma once
/// Builds a block of tables that refer to each other by offsets.
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "base/types.h"

namespace millrace {

/// Appends `rows` at a multiple of 8 and returns where.
template <class Row>
std::uint32_t append_rows(std::vector<std::byte>& block, std::span<const Row> rows) {
  static_assert(std::is_trivially_copyable_v<Row> && alignof(Row) <= 8);
  const std::size_t at = align_up(block.size(), 8);
  block.resize(at + rows.size_bytes());
  if (!rows.empty()) std::memcpy(block.data() + at, rows.data(), rows.size_bytes());
  return static_cast<std::uint32_t>(at);
}

}  // namespace millrace
