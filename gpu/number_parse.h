#pragma once
/// Numbers written in decimal: their grammar, and int64. double_parse.h and time_parse.h go on from
/// the parts that scan_number() finds.
#include "gpu/scan_bits.h"

namespace millrace {

enum class number_style : std::uint8_t {
  json,   ///< RFC 8259: no plus, no leading zeros, digits on both sides of a point
  loose,  ///< text files: "+7", "007", ".5" and "5." too
};

struct number_text {
  bool good = false;
  bool negative = false;
  bool integral = false;  ///< neither point nor exponent
  byte_range whole{};     ///< digits before the point
  byte_range fraction{};  ///< digits after it
  std::int64_t exponent = 0;
};

/// An exponent further away than this decides alone, whatever digits a record can hold.
inline constexpr std::int64_t exponent_max = 1'000'000'000;

MILLRACE_HOST_DEVICE inline std::uint32_t skip_digits(byte_range text, std::uint32_t at) {
  while (at < text.count && is_digit(text[at]))
    ++at;
  return at;
}

/// All of `text` has to be the number; otherwise the result is not good.
MILLRACE_HOST_DEVICE inline number_text scan_number(byte_range text, number_style style) {
  number_text number;
  std::uint32_t at = 0;
  if (at < text.count && (text[at] == '-' || (style == number_style::loose && text[at] == '+'))) {
    number.negative = text[at] == '-';
    ++at;
  }
  std::uint32_t end = skip_digits(text, at);
  number.whole = text.part(at, end);
  number.fraction = text.part(end, end);
  number.integral = true;
  at = end;
  if (at < text.count && text[at] == '.') {
    end = skip_digits(text, at + 1);
    number.fraction = text.part(at + 1, end);
    number.integral = false;
    at = end;
  }
  if (style == number_style::json) {
    if (number.whole.count == 0 || (number.whole.count > 1 && number.whole[0] == '0'))
      return number;
    if (!number.integral && number.fraction.count == 0) return number;
  } else if (number.whole.count + number.fraction.count == 0) {
    return number;
  }
  if (at < text.count && (text[at] | 0x20) == 'e') {
    ++at;
    bool down = false;
    if (at < text.count && (text[at] == '-' || text[at] == '+')) down = text[at++] == '-';
    end = skip_digits(text, at);
    if (end == at) return number;
    for (; at < end; ++at) {
      if (number.exponent < exponent_max) number.exponent = number.exponent * 10 + (text[at] - '0');
    }
    if (down) number.exponent = -number.exponent;
    number.integral = false;
  }
  number.good = at == text.count;
  return number;
}

/// False: not an integer (1.0 and 1e3 are none), or beyond int64.
MILLRACE_HOST_DEVICE inline bool parse_int64(byte_range text, number_style style,
                                             std::int64_t& out) {
  std::uint32_t at = 0;
  bool negative = false;
  if (at < text.count && (text[at] == '-' || (style == number_style::loose && text[at] == '+'))) {
    negative = text[at] == '-';
    ++at;
  }
  if (at == text.count) return false;
  if (style == number_style::json) {
    if (text[at] == '0' && text.count - at > 1) return false;
  } else {
    while (at + 1 < text.count && text[at] == '0')
      ++at;
  }
  if (text.count - at > 19) return false;
  std::uint64_t value = 0;
  for (; at < text.count; ++at) {
    if (!is_digit(text[at])) return false;
    value = value * 10 + (text[at] - '0');
  }
  constexpr std::uint64_t limit = 1ull << 63;
  if (value > limit - (negative ? 0 : 1)) return false;
  out = static_cast<std::int64_t>(negative ? 0 - value : value);
  return true;
}

}  // namespace millrace
