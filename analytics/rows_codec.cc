#include "analytics/rows_codec.h"

#include <cstring>

#include "base/crc32c.h"
#include "base/endian.h"

namespace millrace {
namespace {

constexpr std::uint32_t chunk_magic = 0x3143'5256;  // "VRC1" in memory order
constexpr std::size_t value_bytes = sizeof(std::uint64_t) + 1;

}  // namespace

std::size_t rows_for_chunk(const window_rows& rows, std::size_t from, std::uint32_t values_per_row,
                           std::uint64_t bytes_max) {
  std::uint64_t bytes = 0;
  std::size_t to = from;
  while (to < rows.rows.size()) {
    bytes += sizeof(stored_row) + values_per_row * value_bytes + rows.rows[to].key_bytes;
    if (bytes > bytes_max && to > from) break;
    ++to;
  }
  return to - from;
}

void encode_rows(const window_rows& rows, std::size_t from, std::size_t to,
                 std::uint32_t values_per_row, std::vector<std::byte>& out) {
  const std::size_t count = to - from;
  std::uint32_t key_bytes = 0;
  for (std::size_t i = from; i < to; ++i)
    key_bytes += rows.rows[i].key_bytes;
  const std::size_t values = count * values_per_row;
  out.resize(sizeof(rows_chunk_header) + count * sizeof(stored_row) + values * value_bytes +
             key_bytes);
  std::byte* at = out.data();
  store(at, rows_chunk_header{chunk_magic, static_cast<std::uint32_t>(count), values_per_row,
                              key_bytes});
  at += sizeof(rows_chunk_header);
  std::byte* keys = out.data() + out.size() - key_bytes;
  std::uint32_t key_offset = 0;
  for (std::size_t i = from; i < to; ++i, at += sizeof(stored_row)) {
    const window_rows::row& row = rows.rows[i];
    const byte_view key = rows.key(row);
    if (!key.empty()) std::memcpy(keys + key_offset, key.data(), key.size());
    store(at, stored_row{row.start_us, row.end_us, key_offset, row.key_bytes});
    key_offset += row.key_bytes;
  }
  std::byte* nulls = at + values * sizeof(std::uint64_t);
  for (std::size_t i = 0; i < values; ++i, at += sizeof(std::uint64_t)) {
    const result_value& value = rows.values[from * values_per_row + i];
    store(at, value.is_null ? std::uint64_t{0} : value.bits);
    nulls[i] = std::byte{value.is_null};
  }
}

result<rows_chunk> rows_chunk::parse(byte_view bytes) {
  const error damaged(error_code::corrupt, "stored rows are damaged");
  if (bytes.size() < sizeof(rows_chunk_header)) return damaged;
  rows_chunk chunk;
  chunk.header_ = load<rows_chunk_header>(bytes.data());
  const rows_chunk_header& header = chunk.header_;
  if (header.magic != chunk_magic) return damaged;
  bytes = bytes.subspan(sizeof header);
  const std::uint64_t row_bytes = std::uint64_t{header.row_count} * sizeof(stored_row);
  const std::uint64_t values = std::uint64_t{header.row_count} * header.values_per_row;
  if (values > bytes.size() ||
      row_bytes + values * value_bytes + header.key_bytes != bytes.size()) {
    return damaged;
  }
  chunk.rows_ = bytes.first(row_bytes);
  chunk.values_ = bytes.subspan(row_bytes, values * sizeof(std::uint64_t));
  chunk.nulls_ = bytes.subspan(row_bytes + chunk.values_.size(), values);
  chunk.keys_ = bytes.last(header.key_bytes);
  for (std::uint32_t i = 0; i < header.row_count; ++i) {
    const window_rows::row row = chunk.row(i);
    if (row.key_bytes > header.key_bytes || row.key_offset > header.key_bytes - row.key_bytes) {
      return damaged;
    }
  }
  return chunk;
}

window_rows::row rows_chunk::row(std::uint32_t i) const {
  const auto one = load<stored_row>(rows_.data() + std::size_t{i} * sizeof(stored_row));
  return {one.start_us, one.end_us, one.key_offset, one.key_bytes};
}

byte_view rows_chunk::key(const window_rows::row& of) const {
  return keys_.subspan(of.key_offset, of.key_bytes);
}

void rows_chunk::append(std::uint32_t i, window_rows& out) const {
  window_rows::row one = row(i);
  const byte_view bytes = key(one);
  one.key_offset = out.keys.size();
  out.rows.push_back(one);
  out.keys.insert(out.keys.end(), bytes.begin(), bytes.end());
  const std::size_t first = std::size_t{i} * header_.values_per_row;
  for (std::size_t v = first; v < first + header_.values_per_row; ++v) {
    out.values.push_back({load<std::uint64_t>(values_.data() + v * sizeof(std::uint64_t)),
                          nulls_[v] != std::byte{0}});
  }
}

void append_row(const window_rows& from, std::size_t i, window_rows& out) {
  const std::size_t values = from.values.size() / from.rows.size();
  window_rows::row row = from.rows[i];
  const byte_view key = from.key(row);
  row.key_offset = out.keys.size();
  out.rows.push_back(row);
  out.keys.insert(out.keys.end(), key.begin(), key.end());
  const auto first = from.values.begin() + static_cast<std::ptrdiff_t>(i * values);
  out.values.insert(out.values.end(), first, first + static_cast<std::ptrdiff_t>(values));
}

window_rows newest_first(const window_rows& reversed) {
  window_rows out;
  const auto& rows = reversed.rows;
  for (std::size_t from = 0; from < rows.size();) {
    std::size_t to = from + 1;
    while (to < rows.size() && rows[to].end_us == rows[from].end_us &&
           rows[to].start_us == rows[from].start_us) {
      ++to;
    }
    for (std::size_t i = to; i-- > from;)
      append_row(reversed, i, out);
    from = to;
  }
  return out;
}

std::uint32_t rows_digest(const window_rows& rows) {
  std::uint32_t crc = 0;
  for (const window_rows::row& row : rows.rows) {
    const std::int64_t window[2] = {row.start_us, row.end_us};
    crc = crc32c(std::as_bytes(std::span(window)), crc);
    crc = crc32c(rows.key(row), crc);
  }
  return crc;
}

std::uint64_t rows_bytes(const window_rows& rows) {
  return rows.rows.size() * sizeof(window_rows::row) + rows.keys.size() +
         rows.values.size() * sizeof(result_value);
}

}  // namespace millrace
