#pragma once
/// The text of a field as it is meant: decoded UTF-8, byte by byte, however the record writes it.
/// Hashing, comparing and copying go through here, so that equal texts are equal.
#include "gpu/field_value.h"
#include "gpu/scan_bits.h"

namespace millrace {

/// The value of a hexadecimal digit, or 16.
MILLRACE_HOST_DEVICE inline std::uint32_t hex_digit(unsigned char c) {
  if (is_digit(c)) return c - '0';
  const auto letter = static_cast<unsigned char>((c | 0x20) - 'a');
  return letter < 6 ? letter + 10u : 16u;
}

/// The four digits of a \u escape as a number; 0x10000 or more when they are none.
MILLRACE_HOST_DEVICE inline std::uint32_t hex_unit(const std::byte* digits) {
  std::uint32_t unit = 0;
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t digit = hex_digit(static_cast<unsigned char>(digits[i]));
    if (digit > 15) return 0x10000;
    unit = unit << 4 | digit;
  }
  return unit;
}

/// What a JSON escape of one letter stands for, or 0.
MILLRACE_HOST_DEVICE inline unsigned char json_escape(unsigned char letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return letter;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}

/// Reads a text that extraction has found to be good. Only what lies in it is read.
class text_reader {
 public:
  MILLRACE_HOST_DEVICE text_reader(const std::byte* text, std::uint32_t count, text_form form)
      : next_(text), end_(text + count), form_(form) {}
  MILLRACE_HOST_DEVICE explicit text_reader(const field_value& value)
      : text_reader(reinterpret_cast<const std::byte*>(value.bits), value.text_bytes, value.form) {}

  static constexpr int at_end = -1;

  /// The next byte of the text, or at_end.
  MILLRACE_HOST_DEVICE int next() {
    if (pending_ != 0) {
      const int byte = static_cast<int>(pending_ & 0xff);
      pending_ >>= 8;
      return byte;
    }
    if (next_ == end_) return at_end;
    const auto byte = static_cast<unsigned char>(*next_++);
    switch (form_) {
      case text_form::plain:
        break;
      case text_form::csv_quoted:
        if (byte == '"' && next_ != end_) ++next_;
        break;
      case text_form::log_escaped:
        if (byte == '\\' && next_ != end_ && is_log_escape(*next_)) {
          return static_cast<unsigned char>(*next_++);
        }
        break;
      case text_form::json_escaped:
        if (byte == '\\') return next_escaped();
        break;
    }
    return byte;
  }

  MILLRACE_HOST_DEVICE static bool is_log_escape(std::byte after) {
    return after == std::byte{'"'} || after == std::byte{'\\'};
  }

 private:
  MILLRACE_HOST_DEVICE int next_escaped() {
    if (next_ == end_) return at_end;
    const auto letter = static_cast<unsigned char>(*next_++);
    if (letter != 'u') return json_escape(letter);
    if (end_ - next_ < 4) return at_end;
    std::uint32_t point = hex_unit(next_);
    next_ += 4;
    if (point >= 0xd800 && point < 0xdc00 && end_ - next_ >= 6) {
      point = 0x10000 + ((point - 0xd800) << 10) + (hex_unit(next_ + 2) - 0xdc00);
      next_ += 6;
    }
    return first_of(point);
  }

  /// The first byte of a code point in UTF-8; the others, none of which is zero, are pending.
  MILLRACE_HOST_DEVICE int first_of(std::uint32_t point) {
    if (point < 0x80) return static_cast<int>(point);
    const auto tail = [](std::uint32_t bits) { return 0x80 | (bits & 0x3f); };
    if (point < 0x800) {
      pending_ = tail(point);
      return static_cast<int>(0xc0 | point >> 6);
    }
    if (point < 0x10000) {
      pending_ = tail(point >> 6) | tail(point) << 8;
      return static_cast<int>(0xe0 | point >> 12);
    }
    pending_ = tail(point >> 12) | tail(point >> 6) << 8 | tail(point) << 16;
    return static_cast<int>(0xf0 | point >> 18);
  }

  const std::byte* next_;
  const std::byte* end_;
  std::uint32_t pending_ =
      0;  ///< bytes of a code point that are still to come, the next one lowest
  text_form form_;
};

}  // namespace millrace
