#pragma once
/// Fields at fixed places of a record. One that the record is too short for is missing. A number
/// that its type cannot hold (a u64 beyond int64, a float that is not finite, a boolean that is
/// neither 0 nor 1, a time outside the range) is wrong_type. A text ends at its first zero byte,
/// and blanks at its end do not count; an empty one is missing, unless a string is wanted.
#include "gpu/field_convert.h"

namespace millrace {

MILLRACE_HOST_DEVICE inline std::uint32_t binary_kind_bytes(binary_kind kind) {
  switch (kind) {
    case binary_kind::i8:
    case binary_kind::u8:
      return 1;
    case binary_kind::i16:
    case binary_kind::u16:
      return 2;
    case binary_kind::i32:
    case binary_kind::u32:
    case binary_kind::f32:
      return 4;
    case binary_kind::i64:
    case binary_kind::u64:
    case binary_kind::f64:
      return 8;
    case binary_kind::text:
      break;
  }
  return 0;
}

template <class Word>
MILLRACE_HOST_DEVICE inline Word load_word(const std::byte* from, bool big_endian) {
  if (!big_endian) return load_any<Word>(from);
  Word word = 0;
  for (std::size_t i = 0; i < sizeof(Word); ++i)
    word = static_cast<Word>(static_cast<std::uint64_t>(word) << 8 |
                             static_cast<std::uint64_t>(from[i]));
  return word;
}

/// A whole number of either sign that 64 bits hold.
struct binary_integer {
  std::uint64_t bits;
  bool beyond_int64;
};

MILLRACE_HOST_DEVICE inline field_value convert_integer(const extract_field& field,
                                                        binary_integer number) {
  const auto value = static_cast<std::int64_t>(number.bits);
  switch (field.type) {
    case field_type::int64:
      if (!number.beyond_int64) return make_value(value);
      break;
    case field_type::float64:
      return make_value(bits_of(number.beyond_int64 ? static_cast<double>(number.bits)
                                                    : static_cast<double>(value)));
    case field_type::boolean:
      if (number.bits <= 1) return make_value(number.bits);
      break;
    case field_type::timestamp:
      if (!number.beyond_int64) return convert_time_integer(field.format, value);
      break;
    case field_type::string:
      break;
  }
  return make_null(value_state::wrong_type);
}

/// A double times a power of ten as whole microseconds, to the nearest, without floating-point
/// arithmetic, so that no compiler can fuse it: a double has few digits beyond them. False: no
/// time.
MILLRACE_HOST_DEVICE inline bool time_of_double(std::uint64_t bits, std::uint64_t unit,
                                                std::int64_t& out) {
  const int biased = static_cast<int>(bits >> double_fraction_bits & 0x7ff);
  const bool negative = bits >> 63 != 0;
  const std::uint64_t hidden = 1ull << double_fraction_bits;
  const std::uint64_t significand = (bits & (hidden - 1)) | hidden;
  if (biased > 1023 + 60) return false;
  out = 0;
  if (biased < 1023 - 60) return true;
  const uint128 scaled = static_cast<uint128>(significand) * unit;  // under 2^73
  const int shift = biased - 1075;                                  // -112 to 8
  uint128 whole = 0;
  if (shift >= 0) {
    whole = scaled << shift;
  } else {
    whole = ((scaled >> (-shift - 1)) + 1) >> 1;
  }
  if (whole > static_cast<std::uint64_t>(time_us_max)) return false;
  out = static_cast<std::int64_t>(static_cast<std::uint64_t>(whole));
  if (negative) out = -out;
  return in_time_range(out);
}

MILLRACE_HOST_DEVICE inline field_value convert_double(const extract_field& field, double number) {
  const std::uint64_t bits = bits_of(number);
  if ((bits & double_infinity_bits) == double_infinity_bits) {
    return make_null(value_state::wrong_type);
  }
  if (field.type == field_type::float64) return make_value(bits);
  const auto unit = static_cast<std::uint64_t>(time_unit_us(field.format));
  std::int64_t us = 0;
  return time_of_double(bits, unit, us) ? make_value(us) : make_null(value_state::wrong_type);
}

template <class Word>
MILLRACE_HOST_DEVICE inline binary_integer read_signed(const std::byte* from, bool big_endian) {
  const auto value = static_cast<std::int64_t>(load_word<Word>(from, big_endian));
  return {static_cast<std::uint64_t>(value), false};
}
template <class Word>
MILLRACE_HOST_DEVICE inline binary_integer read_unsigned(const std::byte* from, bool big_endian) {
  const auto value = static_cast<std::uint64_t>(load_word<Word>(from, big_endian));
  return {value, value >> 63 != 0};
}

MILLRACE_HOST_DEVICE inline field_value read_binary_text(const extract_tables& tables,
                                                         const extract_field& field,
                                                         byte_range text) {
  std::uint32_t count = 0;
  while (count < text.count && text[count] != 0)
    ++count;
  while (count > 0 && text[count - 1] == ' ')
    --count;
  if (count == 0 && field.type != field_type::string) return make_null(value_state::missing);
  return convert_text(tables, field, text.part(0, count), text_form::plain);
}

/// A field that is a number of `Kind`, in data that is long enough.
template <binary_kind Kind>
MILLRACE_HOST_DEVICE inline field_value read_binary_number(const extract_field& field,
                                                           const std::byte* from) {
  const bool big = field.big_endian;
  if constexpr (Kind == binary_kind::i8)
    return convert_integer(field, read_signed<std::int8_t>(from, big));
  if constexpr (Kind == binary_kind::i16)
    return convert_integer(field, read_signed<std::int16_t>(from, big));
  if constexpr (Kind == binary_kind::i32)
    return convert_integer(field, read_signed<std::int32_t>(from, big));
  if constexpr (Kind == binary_kind::i64)
    return convert_integer(field, read_signed<std::int64_t>(from, big));
  if constexpr (Kind == binary_kind::u8)
    return convert_integer(field, read_unsigned<std::uint8_t>(from, big));
  if constexpr (Kind == binary_kind::u16)
    return convert_integer(field, read_unsigned<std::uint16_t>(from, big));
  if constexpr (Kind == binary_kind::u32)
    return convert_integer(field, read_unsigned<std::uint32_t>(from, big));
  if constexpr (Kind == binary_kind::u64)
    return convert_integer(field, read_unsigned<std::uint64_t>(from, big));
  if constexpr (Kind == binary_kind::f32) {
    const std::uint32_t bits = load_word<std::uint32_t>(from, big);
    float number;
    memcpy(&number, &bits, sizeof number);
    return convert_double(field, static_cast<double>(number));
  }
  if constexpr (Kind == binary_kind::f64) {
    const std::uint64_t bits = load_word<std::uint64_t>(from, big);
    double number;
    memcpy(&number, &bits, sizeof number);
    return convert_double(field, number);
  }
}

MILLRACE_HOST_DEVICE inline field_value read_binary(const extract_tables& tables,
                                                    const extract_field& field, byte_range data) {
  if (data.count < field.offset || data.count - field.offset < field.bytes) {
    return make_null(value_state::missing);
  }
  const std::byte* const from = data.bytes + field.offset;
  switch (field.binary) {
    case binary_kind::i8:
      return read_binary_number<binary_kind::i8>(field, from);
    case binary_kind::i16:
      return read_binary_number<binary_kind::i16>(field, from);
    case binary_kind::i32:
      return read_binary_number<binary_kind::i32>(field, from);
    case binary_kind::i64:
      return read_binary_number<binary_kind::i64>(field, from);
    case binary_kind::u8:
      return read_binary_number<binary_kind::u8>(field, from);
    case binary_kind::u16:
      return read_binary_number<binary_kind::u16>(field, from);
    case binary_kind::u32:
      return read_binary_number<binary_kind::u32>(field, from);
    case binary_kind::u64:
      return read_binary_number<binary_kind::u64>(field, from);
    case binary_kind::f32:
      return read_binary_number<binary_kind::f32>(field, from);
    case binary_kind::f64:
      return read_binary_number<binary_kind::f64>(field, from);
    case binary_kind::text:
      return read_binary_text(tables, field, {from, field.bytes});
  }
  return make_null(value_state::missing);
}

}  // namespace millrace
