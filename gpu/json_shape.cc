#include "gpu/json_shape.h"

#include <cstring>

namespace millrace {
namespace {

/// Learning costs about as much as scanning: not for every document of a stream that has many
/// shapes.
constexpr std::uint32_t strangers_of_a_lesson = 16;

bool is_open(unsigned char c) {
  return (c | 0x20) == '{';
}
bool is_close(unsigned char c) {
  return (c | 0x20) == '}';
}

}  // namespace

bool json_shape::extract(const json_index_cursor& cursor, byte_range document, field_column out) {
  if (count_ == 0 || !is_alike(cursor, document)) return false;
  const std::uint32_t* const positions = cursor.positions();
  for (std::uint32_t i = 0; i < values_count_; ++i) {
    const value& one = values_[i];
    const byte_range text = trimmed(document.part(positions[one.end - 1] + 1, positions[one.end]));
    for (std::uint64_t left = tables_.node(one.node).own; left != 0; left &= left - 1) {
      const auto field = static_cast<std::uint32_t>(lowest_bit(left));
      out[field] = convert_json(tables_, tables_.field(field), text);
    }
  }
  return true;
}

bool json_shape::is_alike(const json_index_cursor& cursor, byte_range document) const {
  if (cursor.filled() < count_) return false;
  const std::uint32_t* const positions = cursor.positions();
  if (positions[0] != 0) return false;
  for (std::uint32_t i = 0; i < names_count_; ++i) {
    const name& one = names_[i];
    const std::uint32_t from = positions[one.colon - 1];
    if (positions[one.colon] - from + 1 != one.bytes) return false;
    const std::uint32_t words = (one.bytes + 7u) / 8;
    if (document.count - from < 8 * words) {  // whole words would reach beyond the document
      if (std::memcmp(document.bytes + from, one.words.data(), one.bytes) != 0) return false;
      continue;
    }
    for (std::uint32_t w = 0; w < words; ++w) {
      auto seen = load_any<std::uint64_t>(document.bytes + from + 8 * w);
      const std::uint32_t rest = one.bytes - 8 * w;
      if (rest < 8) seen &= (1ull << 8 * rest) - 1;
      if (seen != one.words[w]) return false;
    }
  }
  for (std::uint32_t i = 0; i < others_count_; ++i) {
    if (document[positions[others_[i].number]] != others_[i].what) return false;
  }
  return true;
}

bool json_shape::add_name(const std::uint32_t* positions, std::uint32_t colon,
                          byte_range document) {
  const std::uint32_t from = positions[colon - 1];
  const std::uint32_t bytes = positions[colon] - from + 1;
  if (names_count_ == names_max || bytes > 8 * words_max) return false;
  name& one = names_[names_count_++];
  one = {};
  one.colon = static_cast<std::uint16_t>(colon);
  one.bytes = static_cast<std::uint16_t>(bytes);
  std::memcpy(one.words.data(), document.bytes + from, bytes);
  return true;
}

/// Where the scanner took values. False: it did not find all fields so.
bool json_shape::add_values(const json_index_cursor& cursor) {
  std::uint64_t taken = 0;
  values_count_ = 0;
  for (const json_index_cursor::taken_value& one : cursor.taken()) {
    values_[values_count_++] = {static_cast<std::uint16_t>(one.end),
                                static_cast<std::uint16_t>(one.node)};
    taken |= tables_.node(one.node).own;
  }
  return taken == tables_.header().scanned;
}

void json_shape::learn(const json_index_cursor& cursor, byte_range document) {
  if (strangers_++ % strangers_of_a_lesson != 0) return;
  count_ = 0;
  names_count_ = others_count_ = 0;
  const std::uint32_t count = cursor.passed();
  if (!cursor.is_one_window() || cursor.taken().empty() || !add_values(cursor)) return;
  // The scanner ends at the last wanted value; an empty container it tells by what is inside.
  const std::uint32_t* const positions = cursor.positions();
  if (values_[values_count_ - 1].end + 1u != count || positions[0] != 0) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    const unsigned char c = document[positions[i]];
    const bool has_next = i + 1 < count;
    if (has_next && is_open(c) && is_close(document[positions[i + 1]])) return;
    if (c == ':' && i > 0) {
      if (!add_name(positions, i, document)) return;
    } else if (!has_next || document[positions[i + 1]] != ':') {
      if (others_count_ == others_max) return;
      others_[others_count_++] = {static_cast<std::uint16_t>(i), c};
    }
  }
  count_ = count;
  strangers_ = 1;
}

}  // namespace millrace
