#include "api/json_text.h"

#include <cstdint>
#include <cstring>

#include "base/base64.h"

namespace millrace {
namespace {

constexpr std::string_view hex = "0123456789abcdef";

/// True when none of the eight bytes is a control character, a quote, a backslash or beyond ASCII:
/// they can be copied as they are.
bool plain_word(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  constexpr std::uint64_t ones = 0x0101010101010101u;
  constexpr std::uint64_t high = 0x8080808080808080u;
  const auto has_zero = [](std::uint64_t w) { return (w - ones) & ~w & high; };
  const std::uint64_t control = (word - ones * 0x20) & ~word & high;
  return ((word & high) | control | has_zero(word ^ (ones * '"')) |
          has_zero(word ^ (ones * '\\'))) == 0;
}

void append_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += hex[c >> 4];
      out += hex[c & 15];
  }
}

}  // namespace

std::size_t utf8_sequence_bytes(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xc2   ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and beyond U+10FFFF.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word = 0;
    if (at + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const std::size_t length = utf8_sequence_bytes(text.substr(at));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size() && plain_word(text.data() + at)) {
      std::size_t end = at + 8;
      while (end + 8 <= text.size() && plain_word(text.data() + end))
        end += 8;
      out.append(text.substr(at, end - at));
      at = end;
      continue;
    }
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
      append_escape(out, c);
      ++at;
      continue;
    }
    const std::size_t length = utf8_sequence_bytes(text.substr(at));
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++at;
    } else {
      out.append(text.substr(at, length));
      at += length;
    }
  }
  out += '"';
}

void append_data_member(std::string& out, byte_view data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  if (is_utf8(text)) {
    out += "\"data\":";
    append_json_string(out, text);
  } else {
    out += "\"data_base64\":\"";
    append_base64(out, data);
    out += '"';
  }
}

void append_base64(std::string& out, byte_view bytes) {
  const std::size_t before = out.size();
  out.resize(before + (bytes.size() + 2) / 3 * 4);
  encode_base64(bytes, out.data() + before);
}

bool decode_base64(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + base64_decoded_bytes(text));
  return decode_base64(text, reinterpret_cast<std::byte*>(out.data()) + before);
}

}  // namespace millrace
