#include "base/base64.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace millrace {
namespace {

constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Beyond 24 bits: a character that is not a digit.
constexpr std::uint32_t bad = 1u << 24;

using table = std::array<std::uint32_t, 256>;

/// A digit's contribution to a group, by its place in it, laid out as the group's three bytes are
/// stored: the first in the lowest byte.
constexpr table make_table(int place) {
  table out{};
  out.fill(bad);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const auto group = static_cast<std::uint32_t>(i) << (18 - 6 * place);
    out[static_cast<unsigned char>(digits[i])] =
        (group >> 16 & 0xff) | (group & 0xff00) | (group & 0xff) << 16;
  }
  return out;
}
constexpr std::array<table, 4> tables{make_table(0), make_table(1), make_table(2), make_table(3)};

std::uint32_t group_of(const char* at) {
  return tables[0][static_cast<unsigned char>(at[0])] |
         tables[1][static_cast<unsigned char>(at[1])] |
         tables[2][static_cast<unsigned char>(at[2])] |
         tables[3][static_cast<unsigned char>(at[3])];
}

/// Two digits at once: 12 bits of text for each of 24 bits of input.
using pair_table = std::array<std::array<char, 2>, 4096>;
constexpr pair_table make_pairs() {
  pair_table out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = {digits[i >> 6], digits[i & 63]};
  return out;
}
constexpr pair_table pairs = make_pairs();

}  // namespace

bool decode_base64(std::string_view text, std::byte* to) {
  if (text.size() % 4 != 0) return false;
  if (text.empty()) return true;
  const char* at = text.data();
  const char* const last = at + text.size() - 4;
  std::uint32_t seen = 0;
  // Four groups a round. A round reads 16 characters before it writes 12 bytes and 1 more, so that
  // writing over the text, from its start or before, never destroys what is still to be read.
  while (last - at >= 16) {
    const std::uint32_t a = group_of(at);
    const std::uint32_t b = group_of(at + 4);
    const std::uint32_t c = group_of(at + 8);
    const std::uint32_t d = group_of(at + 12);
    seen |= a | b | c | d;
    std::memcpy(to, &a, 4);
    std::memcpy(to + 3, &b, 4);
    std::memcpy(to + 6, &c, 4);
    std::memcpy(to + 9, &d, 4);
    at += 16;
    to += 12;
  }
  for (; at < last; at += 4, to += 3) {
    const std::uint32_t group = group_of(at);
    seen |= group;
    std::memcpy(to, &group, 3);
  }
  char tail[4];
  std::memcpy(tail, last, 4);
  std::size_t bytes = 3;
  if (tail[3] == '=') {
    bytes = tail[2] == '=' ? 1 : 2;
    tail[3] = 'A';
    if (bytes == 1) tail[2] = 'A';
  }
  const std::uint32_t group = group_of(tail);
  std::memcpy(to, &group, bytes);
  return ((seen | group) & bad) == 0;
}

void encode_base64(byte_view bytes, char* to) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 3; left -= 3, at += 3, to += 4) {
    const std::uint32_t group = std::uint32_t{at[0]} << 16 | std::uint32_t{at[1]} << 8 | at[2];
    std::memcpy(to, pairs[group >> 12].data(), 2);
    std::memcpy(to + 2, pairs[group & 0xfff].data(), 2);
  }
  if (left == 0) return;
  const std::uint32_t group =
      std::uint32_t{at[0]} << 16 | (left > 1 ? std::uint32_t{at[1]} << 8 : 0u);
  std::memcpy(to, pairs[group >> 12].data(), 2);
  to[2] = left > 1 ? digits[group >> 6 & 63] : '=';
  to[3] = '=';
}

}  // namespace millrace
