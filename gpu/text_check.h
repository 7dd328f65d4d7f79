#pragma once
/// What may be a text: valid UTF-8 and, in JSON, no control characters and only whole escapes.
/// Looked at once, when a text is extracted; text_reader.h relies on it.
#include "gpu/scan_bits.h"
#include "gpu/text_reader.h"

namespace millrace {

/// Bytes of the UTF-8 sequence at `at`, or 0 when it is none (Unicode 15, table 3-7).
MILLRACE_HOST_DEVICE inline std::uint32_t utf8_sequence(byte_range text, std::uint32_t at) {
  const std::uint32_t first = text[at];
  if (first < 0x80) return 1;
  const std::uint32_t count = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first < 0xc2 || first > 0xf4 || text.count - at < count) return 0;
  std::uint32_t low = 0x80, high = 0xbf;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;  // surrogates
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;  // beyond U+10FFFF
  if (text[at + 1] < low || text[at + 1] > high) return 0;
  for (std::uint32_t i = 2; i < count; ++i) {
    if ((text[at + i] & 0xc0) != 0x80) return 0;
  }
  return count;
}

MILLRACE_HOST_DEVICE inline bool is_utf8(byte_range text) {
  std::uint32_t at = 0;
  while (at < text.count) {
    if (text.count - at >= 8 && (load_any<std::uint64_t>(text.bytes + at) & top_bits) == 0) {
      at += 8;
      continue;
    }
    const std::uint32_t step = utf8_sequence(text, at);
    if (step == 0) return false;
    at += step;
  }
  return true;
}

enum class json_text : std::uint8_t { bad, plain, escaped };

/// Bytes of the escape at `at`, where a backslash is, or 0 when it is none. A surrogate pair is
/// one.
MILLRACE_HOST_DEVICE inline std::uint32_t json_escape_bytes(byte_range text, std::uint32_t at) {
  const std::uint32_t left = text.count - at;
  if (left < 2) return 0;
  if (text[at + 1] != 'u') return json_escape(text[at + 1]) != 0 ? 2 : 0;
  if (left < 6) return 0;
  const std::uint32_t unit = hex_unit(text.bytes + at + 2);
  if (unit > 0xffff) return 0;
  if (unit < 0xd800 || unit > 0xdfff) return 6;
  if (unit > 0xdbff || left < 12 || text[at + 6] != '\\' || text[at + 7] != 'u') return 0;
  const std::uint32_t second = hex_unit(text.bytes + at + 8);
  return second >= 0xdc00 && second <= 0xdfff ? 12 : 0;
}

/// `text`: what is between the quotes.
MILLRACE_HOST_DEVICE inline json_text check_json_text(byte_range text) {
  json_text form = json_text::plain;
  std::uint32_t at = 0;
  while (at < text.count) {
    if (text.count - at >= 8) {
      const auto some = load_any<std::uint64_t>(text.bytes + at);
      const std::uint64_t special = (some & top_bits) | bytes_below(some, 0x20) |
                                    bytes_equal(some, '"') | bytes_equal(some, '\\');
      if (special == 0) {
        at += 8;
        continue;
      }
      at += static_cast<std::uint32_t>(lowest_bit(special)) / 8;
    }
    const unsigned char c = text[at];
    std::uint32_t step = 1;
    if (c == '\\') {
      step = json_escape_bytes(text, at);
      form = json_text::escaped;
    } else if (c < 0x20 || c == '"') {
      return json_text::bad;
    } else {
      step = utf8_sequence(text, at);
    }
    if (step == 0) return json_text::bad;
    at += step;
  }
  return form;
}

}  // namespace millrace
