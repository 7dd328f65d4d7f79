#pragma once
/// A view's field as the configuration file says it, apart from the file's syntax. docs/views.md.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "gpu/view_plan.h"

namespace millrace {

std::string_view to_string(record_layout layout);
std::string_view to_string(binary_kind kind);
std::string_view to_string(time_format format);
result<record_layout> parse_layout(std::string_view text);
result<binary_kind> parse_binary_kind(std::string_view text);

/// "int64", "float64", "string", "boolean", "timestamp(ms)".
struct typed_text {
  field_type type{};
  std::optional<time_format> format;  ///< timestamps alone, and of these all but the access log's
};
result<typed_text> parse_type(std::string_view text);
std::string type_text(const field_plan& field);

/// What a table of the file says of a field, every part optional.
struct field_words {
  std::optional<std::string> type;
  std::optional<std::string> path;     ///< json
  std::optional<std::int64_t> column;  ///< csv, from 1
  std::optional<std::string> part;     ///< access_log
  std::optional<std::int64_t> offset;  ///< binary
  std::optional<std::string> as;       ///< binary: u8 … f64, text
  std::optional<std::int64_t> bytes;   ///< binary text
  std::optional<std::string> endian;   ///< binary: little, big
  std::optional<std::string> builtin;
};

/// "float64 timing.ms", "int64 3", "string agent", "u32 at 8", "timestamp(ms) u64 big at 0",
/// "text 16 at 24": the short form of a table.
result<field_words> parse_field_words(std::string_view text, record_layout layout);
/// Fills in what goes without saying. Errors do not name the field.
result<field_plan> make_field(std::string_view name, const field_words& words,
                              record_layout layout);

}  // namespace millrace
