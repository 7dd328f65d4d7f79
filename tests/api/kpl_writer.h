#pragma once
/// Writes aggregates as the Kinesis Producer Library does, and with whatever is wrong in them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"
#include "gpu/md5.h"

namespace millrace {

inline byte_view kpl_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string kpl_number(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

/// A protobuf field with a number, and one with bytes.
inline std::string kpl_field(std::uint64_t id, std::uint64_t value) {
  return kpl_number(id << 3) + kpl_number(value);
}
inline std::string kpl_field(std::uint64_t id, std::string_view bytes) {
  return kpl_number(id << 3 | 2) + kpl_number(bytes.size()) + std::string(bytes);
}

inline std::string kpl_record_field(std::uint64_t key, std::optional<std::uint64_t> hash_key,
                                    std::string_view data) {
  std::string record = kpl_field(1, key);
  if (hash_key) record += kpl_field(2, *hash_key);
  return kpl_field(3, record + kpl_field(3, data));
}

/// The message between the magic number and its MD5.
inline std::string kpl_aggregate(std::string_view message) {
  std::string out = "\xf3\x89\x9a\xc2";
  out += message;
  const uint128 digest = md5(kpl_bytes(message).data(), static_cast<std::uint32_t>(message.size()));
  for (int i = 15; i >= 0; --i)
    out += static_cast<char>(digest >> (8 * i));
  return out;
}

}  // namespace millrace
