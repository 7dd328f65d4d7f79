#pragma once
/// Loads and bit arithmetic of the scanners, on either side.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/types.h"
#include "gpu/host_device.h"

namespace millrace {

/// Bytes of a record that are looked at. Non-owning.
struct byte_range {
  const std::byte* bytes;
  std::uint32_t count;

  MILLRACE_HOST_DEVICE unsigned char operator[](std::uint32_t at) const {
    return static_cast<unsigned char>(bytes[at]);
  }
  MILLRACE_HOST_DEVICE byte_range part(std::uint32_t from, std::uint32_t end) const {
    return {bytes + from, end - from};
  }
};

/// Little-endian, at any address.
template <class Value>
MILLRACE_HOST_DEVICE inline Value load_any(const std::byte* from) {
  Value value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <class Value>
MILLRACE_HOST_DEVICE inline std::uint64_t bits_of(Value value) {
  static_assert(sizeof(Value) == 8);
  std::uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

MILLRACE_HOST_DEVICE inline int leading_zeros(std::uint64_t value) {
#if defined(__CUDA_ARCH__)
  return __clzll(static_cast<long long>(value));
#else
  return __builtin_clzll(value);
#endif
}
MILLRACE_HOST_DEVICE inline int lowest_bit(std::uint64_t value) {
#if defined(__CUDA_ARCH__)
  return __ffsll(static_cast<long long>(value)) - 1;
#else
  return __builtin_ctzll(value);
#endif
}

MILLRACE_HOST_DEVICE inline bool is_digit(unsigned char c) {
  return static_cast<unsigned char>(c - '0') < 10;
}
/// JSON's white space.
MILLRACE_HOST_DEVICE inline bool is_space(unsigned char c) {
  return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

/// Without white space at both ends.
MILLRACE_HOST_DEVICE inline byte_range trimmed(byte_range text) {
  while (text.count > 0 && is_space(text[0]))
    text = text.part(1, text.count);
  while (text.count > 0 && is_space(text[text.count - 1]))
    --text.count;
  return text;
}

// Eight bytes at a time: the top bit of each byte of the result says something of that byte.
inline constexpr std::uint64_t every_byte = 0x0101010101010101u;
inline constexpr std::uint64_t top_bits = 0x8080808080808080u;

/// Exact in its lowest set bit; bytes above that one may be set wrongly.
MILLRACE_HOST_DEVICE inline std::uint64_t bytes_equal(std::uint64_t bytes, unsigned char to) {
  const std::uint64_t zero_where = bytes ^ every_byte * to;
  return (zero_where - every_byte) & ~zero_where & top_bits;
}
/// The same, for bytes below `than` (at most 128).
MILLRACE_HOST_DEVICE inline std::uint64_t bytes_below(std::uint64_t bytes, unsigned char than) {
  return (bytes - every_byte * than) & ~bytes & top_bits;
}

/// Where the first `one` or `other` is from `from` on, or the text's end.
MILLRACE_HOST_DEVICE inline std::uint32_t find_either(byte_range text, std::uint32_t from,
                                                      unsigned char one, unsigned char other) {
  for (; from + 8 <= text.count; from += 8) {
    const auto some = load_any<std::uint64_t>(text.bytes + from);
    const std::uint64_t found = bytes_equal(some, one) | bytes_equal(some, other);
    if (found != 0) return from + static_cast<std::uint32_t>(lowest_bit(found)) / 8;
  }
  while (from < text.count && text[from] != one && text[from] != other)
    ++from;
  return from;
}

}  // namespace millrace
