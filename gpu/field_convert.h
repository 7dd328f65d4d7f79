#pragma once
/// What a field's type makes of what is in the record. Null is `missing` where there is nothing,
/// and `wrong_type`, which is counted, where something is there that cannot be read as the type:
///
///   type       JSON                          text of CSV, access logs and binary layouts
///   int64      a number without point and    digits with a sign or leading zeros; blanks around
///              exponent, in range            them do not count
///   float64    any number up to the largest  the same with point and exponent; no "nan" or "inf"
///              double, rounded to nearest
///   string     a string                      any text
///   boolean    true, false                   true, false in any case, 1, 0
///   timestamp  seconds, milliseconds, microseconds: a number; rfc3339, access_log: a text; a time
///              of the years 0000 to 9999
///
/// Nothing is converted from one JSON type to another: "12" is no number, 1.0 no int64. JSON's null
/// is missing. Texts are UTF-8; other bytes are wrong_type.
#include "gpu/double_parse.h"
#include "gpu/extract_tables.h"
#include "gpu/field_value.h"
#include "gpu/text_check.h"
#include "gpu/time_parse.h"

namespace millrace {

MILLRACE_HOST_DEVICE inline field_value make_null(value_state state) {
  field_value value;
  value.state = state;
  return value;
}
MILLRACE_HOST_DEVICE inline field_value make_value(std::uint64_t bits) {
  field_value value;
  value.bits = bits;
  value.state = value_state::value;
  return value;
}
MILLRACE_HOST_DEVICE inline field_value make_value(std::int64_t number) {
  return make_value(static_cast<std::uint64_t>(number));
}
MILLRACE_HOST_DEVICE inline field_value make_text(byte_range text, text_form form) {
  field_value value = make_value(reinterpret_cast<std::uint64_t>(text.bytes));
  value.text_bytes = text.count;
  value.form = form;
  return value;
}

MILLRACE_HOST_DEVICE inline bool is_time_text(time_format format) {
  return format == time_format::rfc3339 || format == time_format::access_log;
}
/// Powers of ten between the unit of a numeric format and a microsecond.
MILLRACE_HOST_DEVICE inline int time_scale(time_format format) {
  return format == time_format::seconds ? 6 : format == time_format::milliseconds ? 3 : 0;
}
/// Microseconds in the unit of a numeric format.
MILLRACE_HOST_DEVICE inline std::int64_t time_unit_us(time_format format) {
  return format == time_format::seconds        ? 1'000'000
         : format == time_format::milliseconds ? 1'000
                                               : 1;
}
/// A whole number in the unit of a numeric format.
MILLRACE_HOST_DEVICE inline field_value convert_time_integer(time_format format,
                                                             std::int64_t number) {
  const std::int64_t unit = time_unit_us(format);
  const bool good = number >= time_us_min / unit && number <= time_us_max / unit;
  return good ? make_value(number * unit) : make_null(value_state::wrong_type);
}

MILLRACE_HOST_DEVICE_CALLED inline field_value convert_time_text(time_format format,
                                                                 byte_range text) {
  std::int64_t us = 0;
  const bool good =
      text.count <= time_text_bytes_max &&
      (format == time_format::rfc3339 ? parse_rfc3339(text, us) : parse_access_log_time(text, us));
  return good ? make_value(us) : make_null(value_state::wrong_type);
}

/// int64, float64, or a timestamp that is a number.
MILLRACE_HOST_DEVICE_CALLED inline field_value convert_number(const extract_tables& tables,
                                                              const extract_field& field,
                                                              byte_range text, number_style style) {
  if (field.type != field_type::float64) {
    std::int64_t whole = 0;
    const bool is_whole = parse_int64(text, style, whole);
    if (field.type == field_type::int64) {
      return is_whole ? make_value(whole) : make_null(value_state::wrong_type);
    }
    if (is_whole) return convert_time_integer(field.format, whole);
  }
  const number_text number = scan_number(text, style);
  if (number.good && field.type == field_type::float64) {
    std::uint64_t bits = 0;
    if (parse_double(number, tables.powers(), bits)) return make_value(bits);
  } else if (number.good) {
    std::int64_t us = 0;
    if (parse_time_number(number, time_scale(field.format), us)) return make_value(us);
  }
  return make_null(value_state::wrong_type);
}

MILLRACE_HOST_DEVICE inline bool equals_word(byte_range text, const char* word, std::uint32_t count,
                                             unsigned char fold_case) {
  if (text.count != count) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    if ((text[i] | fold_case) != static_cast<unsigned char>(word[i])) return false;
  }
  return true;
}

/// A field of a text layout. `form` says how the text is written; only strings may be escaped.
MILLRACE_HOST_DEVICE_CALLED inline field_value convert_text(const extract_tables& tables,
                                                            const extract_field& field,
                                                            byte_range text, text_form form) {
  if (field.type == field_type::string) {
    return is_utf8(text) ? make_text(text, form) : make_null(value_state::wrong_type);
  }
  text = trimmed(text);
  if (field.type == field_type::boolean) {
    if (equals_word(text, "true", 4, 0x20) || equals_word(text, "1", 1, 0))
      return make_value(std::uint64_t{1});
    if (equals_word(text, "false", 5, 0x20) || equals_word(text, "0", 1, 0))
      return make_value(std::uint64_t{0});
    return make_null(value_state::wrong_type);
  }
  if (field.type == field_type::timestamp && is_time_text(field.format)) {
    return convert_time_text(field.format, text);
  }
  return convert_number(tables, field, text, number_style::loose);
}

/// A JSON string's inside.
MILLRACE_HOST_DEVICE inline field_value convert_json_string(const extract_field& field,
                                                            byte_range text) {
  const bool is_time = field.type == field_type::timestamp && is_time_text(field.format);
  if (field.type != field_type::string && !is_time) return make_null(value_state::wrong_type);
  const json_text found = check_json_text(text);
  if (found == json_text::bad) return make_null(value_state::wrong_type);
  const text_form form = found == json_text::plain ? text_form::plain : text_form::json_escaped;
  if (!is_time) return make_text(text, form);
  if (form == text_form::plain) return convert_time_text(field.format, text);
  // A slash may well be written as "\/".
  std::byte decoded[time_text_bytes_max];
  text_reader reader(text.bytes, text.count, form);
  std::uint32_t count = 0;
  for (int c = reader.next(); c != text_reader::at_end; c = reader.next()) {
    if (count == time_text_bytes_max) return make_null(value_state::wrong_type);
    decoded[count++] = static_cast<std::byte>(c);
  }
  return convert_time_text(field.format, {decoded, count});
}

/// A JSON value that is neither object nor array; `text` has no white space around it.
MILLRACE_HOST_DEVICE_CALLED inline field_value convert_json(const extract_tables& tables,
                                                            const extract_field& field,
                                                            byte_range text) {
  if (text.count == 0) return make_null(value_state::wrong_type);
  const unsigned char first = text[0];
  if (first == '"') {
    if (text.count < 2 || text[text.count - 1] != '"') return make_null(value_state::wrong_type);
    return convert_json_string(field, text.part(1, text.count - 1));
  }
  if (first == 'n' && equals_word(text, "null", 4, 0)) return make_null(value_state::missing);
  if (field.type == field_type::boolean) {
    if (equals_word(text, "true", 4, 0)) return make_value(std::uint64_t{1});
    if (equals_word(text, "false", 5, 0)) return make_value(std::uint64_t{0});
    return make_null(value_state::wrong_type);
  }
  if (field.type == field_type::string ||
      (field.type == field_type::timestamp && is_time_text(field.format))) {
    return make_null(value_state::wrong_type);
  }
  return convert_number(tables, field, text, number_style::json);
}

}  // namespace millrace
