#include "analytics/view_rows.h"

#include <bit>
#include <optional>

#include "gpu/ordered_bits.h"

namespace millrace {
namespace {

view_value value_of_bits(field_type type, std::uint64_t bits) {
  switch (type) {
    case field_type::float64:
      return std::bit_cast<double>(bits);
    case field_type::boolean:
      return bits != 0;
    default:
      return static_cast<std::int64_t>(bits);
  }
}

/// Reads group_key.h's encoding. Once something does not fit, everything is null.
class key_reader {
 public:
  explicit key_reader(byte_view key) : key_(key) {}

  view_value next(field_type type) {
    const auto mark = byte();
    if (!mark) return {};
    const bool is_null = *mark == 0;
    if (type == field_type::string) return is_null ? view_value() : text();
    if (type == field_type::boolean) {
      const auto value = byte();
      return is_null || !value ? view_value() : view_value(*value != 0);
    }
    std::uint64_t ordered = 0;
    for (int i = 0; i < 8; ++i) {
      const auto part = byte();
      if (!part) return {};
      ordered = ordered << 8 | *part;
    }
    return is_null ? view_value() : value_of_bits(type, from_ordered(type, ordered));
  }

 private:
  std::optional<std::uint8_t> byte() {
    if (at_ == key_.size()) return std::nullopt;
    return static_cast<std::uint8_t>(key_[at_++]);
  }
  /// Ends with a zero byte; a zero within is followed by ff.
  view_value text() {
    std::string out;
    while (const auto one = byte()) {
      if (*one == 0 && (at_ == key_.size() || key_[at_] != std::byte{0xff})) return out;
      if (*one == 0) ++at_;
      out += static_cast<char>(*one);
    }
    return {};
  }

  byte_view key_;
  std::size_t at_ = 0;
};

}  // namespace

view_columns::view_columns(const view_plan& plan) {
  for (const std::uint16_t field : plan.group_by)
    keys.push_back({plan.fields[field].name, plan.fields[field].type});
  for (const aggregate_plan& one : plan.aggregates)
    values.push_back({one.name, type_of(one, plan)});
}

std::vector<view_value> decode_row(const view_columns& columns, const window_rows& rows,
                                   std::size_t row) {
  std::vector<view_value> out;
  out.reserve(columns.keys.size() + columns.values.size());
  key_reader key(rows.key(rows.rows[row]));
  for (const view_column& column : columns.keys)
    out.push_back(key.next(column.type));
  const result_value* value = rows.values.data() + row * columns.values.size();
  for (const view_column& column : columns.values) {
    out.push_back(value->is_null ? view_value() : value_of_bits(column.type, value->bits));
    ++value;
  }
  return out;
}

}  // namespace millrace
