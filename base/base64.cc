#include "base/base64.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/base64_x86.h"

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

bool decode_by_table(std::string_view text, std::byte* to) {
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

void encode_by_table(byte_view bytes, char* to) {
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

#ifdef MILLRACE_BASE64_X86
/// Blocks by `Bulk`, and the rest by table.
template <std::size_t (*Bulk)(const char*, std::size_t, std::byte*, bool&)>
bool decode_by(std::string_view text, std::byte* to) {
  if (text.size() % 4 != 0) return false;
  bool good = true;
  const std::size_t taken = Bulk(text.data(), text.size(), to, good);
  return good && decode_by_table(text.substr(taken), to + taken / 4 * 3);
}

template <std::size_t (*Bulk)(const std::byte*, std::size_t, char*)>
void encode_by(byte_view bytes, char* to) {
  const std::size_t taken = Bulk(bytes.data(), bytes.size(), to);
  encode_by_table(bytes.subspan(taken), to + taken / 3 * 4);
}
#endif

struct version_list {
  std::array<base64_version, 3> versions;
  std::size_t count = 0;
};

version_list list_versions() {
  version_list list{};
#ifdef MILLRACE_BASE64_X86
  if (base64_x86::has_avx512())
    list.versions[list.count++] = {"avx512", decode_by<base64_x86::decode_avx512>,
                                   encode_by<base64_x86::encode_avx512>};
  if (base64_x86::has_avx2())
    list.versions[list.count++] = {"avx2", decode_by<base64_x86::decode_avx2>,
                                   encode_by<base64_x86::encode_avx2>};
#endif
  list.versions[list.count++] = {"table", decode_by_table, encode_by_table};
  return list;
}

}  // namespace

std::span<const base64_version> base64_versions() {
  static const version_list list = list_versions();
  return {list.versions.data(), list.count};
}

bool decode_base64(std::string_view text, std::byte* to) {
  return base64_versions().front().decode(text, to);
}

void encode_base64(byte_view bytes, char* to) {
  base64_versions().front().encode(bytes, to);
}

}  // namespace millrace
