#include "app/field_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "analytics/view_fields.h"
#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::array<std::string_view, 5> layout_names{"none", "json", "csv", "access_log",
                                                       "binary"};
constexpr std::array<std::string_view, 11> kind_names{"i8",  "i16", "i32", "i64", "u8",  "u16",
                                                      "u32", "u64", "f32", "f64", "text"};
constexpr std::array<std::string_view, 5> format_names{"s", "ms", "us", "rfc3339", "access_log"};
constexpr std::int64_t column_max = 65'535;
constexpr std::int64_t offset_max = limits::record_payload_bytes_max;

error bad(std::string message) {
  return {error_code::invalid_argument, std::move(message)};
}

template <class Enum, std::size_t Count>
result<Enum> find_in(const std::array<std::string_view, Count>& names, std::string_view what,
                     std::string_view text) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end())
    return bad(fmt::format("{} '{}' is none of {}", what, text, fmt::join(names, ", ")));
  return static_cast<Enum>(found - names.begin());
}

field_type natural_type(binary_kind kind) {
  if (kind == binary_kind::text) return field_type::string;
  return kind == binary_kind::f32 || kind == binary_kind::f64 ? field_type::float64
                                                              : field_type::int64;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t from = text.find_first_not_of(' ');
    if (from == std::string_view::npos) return out;
    text.remove_prefix(from);
    out.push_back(text.substr(0, text.find(' ')));
    text.remove_prefix(out.back().size());
  }
}

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// [TYPE] KIND [WIDTH] [big|little] at OFFSET
result<field_words> binary_words(std::string_view text, std::vector<std::string_view> words) {
  const error wrong = bad(fmt::format(
      "'{}' is not [TYPE] KIND [big] at OFFSET, or text WIDTH at OFFSET, such as 'u32 at 8'",
      text));
  field_words out;
  std::size_t i = 0;
  const auto is_kind = [](std::string_view word) {
    return std::find(kind_names.begin(), kind_names.end(), word) != kind_names.end();
  };
  if (i < words.size() && !is_kind(words[i])) out.type = words[i++];
  if (i == words.size() || !is_kind(words[i])) return wrong;
  out.as = words[i++];
  if (out.as == "text" && i < words.size()) {
    out.bytes = whole(words[i++]);
    if (!out.bytes) return wrong;
  }
  if (i < words.size() && (words[i] == "big" || words[i] == "little")) out.endian = words[i++];
  if (i + 2 != words.size() || words[i] != "at") return wrong;
  out.offset = whole(words[i + 1]);
  if (!out.offset) return wrong;
  return out;
}

status check_range(std::string_view what, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return {};
  return bad(fmt::format("{} {} is not between {} and {}", what, value, min, max));
}

result<binary_source> make_binary(const field_words& words) {
  if (!words.offset) return bad("'offset' is missing: the first byte of the field, from 0");
  if (!words.as) return bad(fmt::format("'as' is missing: {}", fmt::join(kind_names, ", ")));
  binary_source out;
  MILLRACE_TRY(check_range("offset", *words.offset, 0, offset_max));
  out.offset = static_cast<std::uint32_t>(*words.offset);
  MILLRACE_ASSIGN(out.kind, parse_binary_kind(*words.as));
  if (words.endian && *words.endian != "little" && *words.endian != "big")
    return bad(fmt::format("endian '{}' is none of little, big", *words.endian));
  out.big_endian = words.endian == "big";
  if (out.kind == binary_kind::text) {
    if (!words.bytes) return bad("'bytes' is missing: the width of the text");
    MILLRACE_TRY(check_range("bytes", *words.bytes, 1, offset_max));
    out.bytes = static_cast<std::uint32_t>(*words.bytes);
  } else if (words.bytes) {
    return bad("'bytes' is for text alone");
  } else {
    // i8 … i64, u8 … u64: 1, 2, 4, 8; f32, f64: 4, 8.
    constexpr std::array<std::uint32_t, 10> widths{1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
    out.bytes = widths[static_cast<std::size_t>(out.kind)];
  }
  return out;
}

/// A word that another layout's fields have is more likely a mistake than a wish.
status refuse_others(const field_words& words, record_layout layout) {
  const auto only = [&](bool is_given, std::string_view word, record_layout where) -> status {
    if (!is_given || (layout == where && !words.builtin)) return {};
    return bad(fmt::format("'{}' is for fields of layout {}", word, to_string(where)));
  };
  MILLRACE_TRY(only(words.path.has_value(), "path", record_layout::json));
  MILLRACE_TRY(only(words.column.has_value(), "column", record_layout::csv));
  MILLRACE_TRY(only(words.part.has_value(), "part", record_layout::access_log));
  MILLRACE_TRY(only(words.offset.has_value(), "offset", record_layout::binary));
  MILLRACE_TRY(only(words.as.has_value(), "as", record_layout::binary));
  MILLRACE_TRY(only(words.bytes.has_value(), "bytes", record_layout::binary));
  return only(words.endian.has_value(), "endian", record_layout::binary);
}

/// The source, and the type that follows from it where there is one.
status set_source(field_plan& field, const field_words& words, record_layout layout,
                  std::optional<field_type>& natural) {
  if (words.builtin) {
    const builtin_field_name* found = find_builtin_field(*words.builtin);
    if (found == nullptr) return bad(fmt::format("there is no builtin '{}'", *words.builtin));
    field.source = found->field;
    natural = found->type;
    return {};
  }
  switch (layout) {
    case record_layout::none:
      return bad("a view without a layout has built-in fields alone: say layout = \"json\"");
    case record_layout::json:
      field.source = json_source{words.path.value_or(field.name)};
      return {};
    case record_layout::csv:
      if (!words.column) return bad("'column' is missing: its number, from 1");
      MILLRACE_TRY(check_range("column", *words.column, 1, column_max));
      field.source = csv_source{static_cast<std::uint32_t>(*words.column - 1)};
      return {};
    case record_layout::access_log: {
      const std::string& part = words.part ? *words.part : field.name;
      const access_log_field* found = find_access_log_field(part);
      if (found == nullptr) return bad(fmt::format("an access log has no part '{}'", part));
      field.source = access_log_source{found->part};
      natural = found->type;
      if (found->part == access_log_part::time) field.format = time_format::access_log;
      return {};
    }
    case record_layout::binary: {
      MILLRACE_ASSIGN(const binary_source source, make_binary(words));
      field.source = source;
      natural = natural_type(source.kind);
      return {};
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(record_layout layout) {
  return layout_names[static_cast<std::size_t>(layout)];
}

std::string_view to_string(binary_kind kind) {
  return kind_names[static_cast<std::size_t>(kind)];
}

std::string_view to_string(time_format format) {
  return format_names[static_cast<std::size_t>(format)];
}

result<record_layout> parse_layout(std::string_view text) {
  return find_in<record_layout>(layout_names, "layout", text);
}

result<binary_kind> parse_binary_kind(std::string_view text) {
  return find_in<binary_kind>(kind_names, "as", text);
}

result<typed_text> parse_type(std::string_view text) {
  if (text == "int64") return typed_text{field_type::int64, {}};
  if (text == "float64" || text == "double") return typed_text{field_type::float64, {}};
  if (text == "string") return typed_text{field_type::string, {}};
  if (text == "boolean" || text == "bool") return typed_text{field_type::boolean, {}};
  if (text == "timestamp") return typed_text{field_type::timestamp, {}};
  constexpr std::string_view call = "timestamp(";
  if (text.starts_with(call) && text.ends_with(')')) {
    text.remove_prefix(call.size());
    text.remove_suffix(1);
    MILLRACE_ASSIGN(const time_format format, find_in<time_format>(format_names, "format", text));
    return typed_text{field_type::timestamp, format};
  }
  return bad(fmt::format(
      "type '{}' is none of int64, float64, string, boolean, timestamp(s|ms|us|rfc3339|access_log)",
      text));
}

std::string type_text(const field_plan& field) {
  if (field.type == field_type::timestamp && !std::holds_alternative<builtin_field>(field.source))
    return fmt::format("timestamp({})", to_string(field.format));
  return std::string(to_string(field.type));
}

result<field_words> parse_field_words(std::string_view text, record_layout layout) {
  auto words = words_of(text);
  if (layout == record_layout::binary) return binary_words(text, std::move(words));
  field_words out;
  if (words.empty() || words.size() > 2)
    return bad(fmt::format("'{}' is not a type, or a type and where the field is", text));
  out.type = words[0];
  if (words.size() == 1) return out;
  switch (layout) {
    case record_layout::csv:
      out.column = whole(words[1]);
      if (!out.column) return bad(fmt::format("column '{}' is not a number from 1", words[1]));
      return out;
    case record_layout::access_log:
      out.part = words[1];
      return out;
    default:
      out.path = words[1];
      return out;
  }
}

result<field_plan> make_field(std::string_view name, const field_words& words,
                              record_layout layout) {
  MILLRACE_TRY(refuse_others(words, layout));
  field_plan out;
  out.name = name;
  std::optional<field_type> natural;
  MILLRACE_TRY(set_source(out, words, layout, natural));
  if (!words.type) {
    if (!natural) return bad("'type' is missing");
    out.type = *natural;
    return out;
  }
  MILLRACE_ASSIGN(const typed_text typed, parse_type(*words.type));
  out.type = typed.type;
  if (words.builtin && out.type != *natural)
    return bad(fmt::format("builtin '{}' is of type {}", *words.builtin, to_string(*natural)));
  if (typed.format) out.format = *typed.format;
  const bool has_own_format = out.format == time_format::access_log || words.builtin;
  if (out.type == field_type::timestamp && !typed.format && !has_own_format)
    return bad("say how the time is written: timestamp(s), (ms), (us), (rfc3339) or (access_log)");
  return out;
}

}  // namespace millrace
