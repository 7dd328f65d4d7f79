#pragma once
/// Base64 (RFC 4648, with padding), in place or not. By vectors of AVX-512 or AVX2 where the CPU
/// has them, by tables elsewhere; all give the same. Thread-safe.
#include <cstddef>
#include <span>
#include <string_view>

#include "base/types.h"

namespace millrace {

/// Bytes that `text` decodes to, if it is base64.
constexpr std::size_t base64_decoded_bytes(std::string_view text) {
  if (text.size() < 4) return 0;
  std::size_t bytes = text.size() / 4 * 3;
  if (text.ends_with("==")) return bytes - 2;
  return text.ends_with('=') ? bytes - 1 : bytes;
}

/// Decodes into `to`, which has base64_decoded_bytes() of room and may be where `text` lies or
/// before it. False when `text` is not base64; `to` is then garbage.
[[nodiscard]] bool decode_base64(std::string_view text, std::byte* to);

/// Writes the base64 of `bytes` to `to`, which has (n + 2) / 3 * 4 characters of room.
void encode_base64(byte_view bytes, char* to);

/// One implementation, for tests and benchmarks; the contracts are those above.
struct base64_version {
  const char* name;
  bool (*decode)(std::string_view text, std::byte* to);
  void (*encode)(byte_view bytes, char* to);
};
/// Those that this CPU can run, the fastest, which is in use, first; the last is "table".
std::span<const base64_version> base64_versions();

}  // namespace millrace
