#pragma once
/// Rows of closed windows as bytes: the chunks that a view's store keeps. Little-endian; do not
/// change: stored chunks depend on every byte.
///
///   chunk = chunk_header | stored_row* | values (u64)* | nulls (u8)* | keys
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/fold.h"

namespace millrace {

struct rows_chunk_header {
  std::uint32_t magic;
  std::uint32_t row_count;
  std::uint32_t values_per_row;
  std::uint32_t key_bytes;  ///< of all rows
};
struct stored_row {
  std::int64_t start_us;
  std::int64_t end_us;
  std::uint32_t key_offset;  ///< in the chunk's keys
  std::uint32_t key_bytes;
};
static_assert(sizeof(rows_chunk_header) == 16 && sizeof(stored_row) == 24);

/// Rows [from, to) of `rows`, which has `values_per_row` values for each.
void encode_rows(const window_rows& rows, std::size_t from, std::size_t to,
                 std::uint32_t values_per_row, std::vector<std::byte>& out);
/// How many rows from `from` on make a chunk of about `bytes_max`; at least one.
std::size_t rows_for_chunk(const window_rows& rows, std::size_t from, std::uint32_t values_per_row,
                           std::uint64_t bytes_max);

/// A chunk in place. Every length has been checked.
class rows_chunk {
 public:
  /// `corrupt` when the bytes are no chunk.
  static result<rows_chunk> parse(byte_view bytes);

  std::uint32_t size() const { return header_.row_count; }
  /// key_offset is within this chunk's keys.
  window_rows::row row(std::uint32_t i) const;
  byte_view key(const window_rows::row& of) const;
  /// Appends row `i` to `out`.
  void append(std::uint32_t i, window_rows& out) const;

 private:
  rows_chunk_header header_{};
  byte_view rows_;
  byte_view values_;
  byte_view nulls_;
  byte_view keys_;
};

/// Appends row `i` of `from`.
void append_row(const window_rows& from, std::size_t i, window_rows& out);
/// Windows in the order in which they come, each one's rows the other way round: rows that were
/// collected from the last to the first become newest window first, by group key in it.
window_rows newest_first(const window_rows& reversed);

/// Of starts, ends and keys: equal for the same windows of the same groups, however their values
/// were summed.
std::uint32_t rows_digest(const window_rows& rows);
/// Bytes that the rows take in memory.
std::uint64_t rows_bytes(const window_rows& rows);

}  // namespace millrace
