#include "base/record_format.h"

#include "base/limits.h"

namespace millrace {
namespace {

/// Code points of `text`, or -1 when it is not UTF-8 (RFC 3629: no surrogates, no overlong forms).
int count_utf8_chars(std::string_view text) {
  int chars = 0;
  std::size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size() && (load<std::uint64_t>(text.data() + i) & 0x8080808080808080u) == 0) {
      i += 8;
      chars += 8;
      continue;
    }
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    std::uint32_t low = 0;
    std::uint32_t code = lead;
    if (lead >= 0x80) {
      if (lead >= 0xc2 && lead < 0xe0) {
        length = 2, code = lead & 0x1fu, low = 0x80;
      } else if (lead >= 0xe0 && lead < 0xf0) {
        length = 3, code = lead & 0x0fu, low = 0x800;
      } else if (lead >= 0xf0 && lead < 0xf5) {
        length = 4, code = lead & 0x07u, low = 0x10000;
      } else {
        return -1;
      }
      if (i + length > text.size()) return -1;
      for (std::size_t k = 1; k < length; ++k) {
        const auto next = static_cast<unsigned char>(text[i + k]);
        if ((next & 0xc0u) != 0x80) return -1;
        code = code << 6 | (next & 0x3fu);
      }
      if (code < low || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return -1;
    }
    i += length;
    ++chars;
  }
  return chars;
}

}  // namespace

uint128 record_view::hash_key() const {
  const std::byte* at = bytes_ + sizeof(record_header);
  return make_uint128(__builtin_bswap64(load<std::uint64_t>(at)),
                      __builtin_bswap64(load<std::uint64_t>(at + 8)));
}

std::string_view to_string(record_fault fault) {
  switch (fault) {
    case record_fault::none:
      return "no fault";
    case record_fault::truncated:
      return "truncated record";
    case record_fault::bad_flags:
      return "unknown record flags";
    case record_fault::empty_key:
      return "empty partition key";
    case record_fault::key_too_long:
      return "partition key over 256 characters";
    case record_fault::key_not_utf8:
      return "partition key is not UTF-8";
    case record_fault::too_large:
      return "partition key and data over 10485760 bytes";
  }
  return "unknown fault";
}

record_fault check_partition_key(std::string_view key) {
  if (key.empty()) return record_fault::empty_key;
  if (key.size() > limits::partition_key_bytes_max) return record_fault::key_too_long;
  const int chars = count_utf8_chars(key);
  if (chars < 0) return record_fault::key_not_utf8;
  if (chars > static_cast<int>(limits::partition_key_chars_max)) return record_fault::key_too_long;
  return record_fault::none;
}

record_fault check_record(byte_view bytes) {
  if (bytes.size() < sizeof(record_header)) return record_fault::truncated;
  const auto header = load<record_header>(bytes.data());
  if (header.record_bytes > bytes.size()) return record_fault::truncated;
  if ((header.flags & ~record_has_hash_key) != 0 || header.reserved != 0) {
    return record_fault::bad_flags;
  }
  const std::uint32_t fixed =
      sizeof(record_header) +
      ((header.flags & record_has_hash_key) != 0 ? explicit_hash_key_bytes : 0);
  if (header.record_bytes < fixed + header.key_bytes) return record_fault::truncated;
  if (header.record_bytes - fixed > limits::record_payload_bytes_max) {
    return record_fault::too_large;
  }
  return check_partition_key(
      {reinterpret_cast<const char*>(bytes.data()) + fixed, header.key_bytes});
}

std::uint32_t record_stride(std::size_t key_bytes, std::size_t data_bytes, bool has_hash_key) {
  const std::size_t bytes =
      sizeof(record_header) + (has_hash_key ? explicit_hash_key_bytes : 0) + key_bytes + data_bytes;
  return static_cast<std::uint32_t>(align_up(bytes, record_alignment));
}

void write_record_head(std::byte* to, std::string_view key, std::size_t data_bytes,
                       const uint128* hash_key) {
  const std::size_t fixed = sizeof(record_header) + (hash_key ? explicit_hash_key_bytes : 0);
  const record_header header{
      .record_bytes = static_cast<std::uint32_t>(fixed + key.size() + data_bytes),
      .key_bytes = static_cast<std::uint16_t>(key.size()),
      .flags = static_cast<std::uint8_t>(hash_key ? record_has_hash_key : 0),
      .reserved = 0};
  store(to, header);
  if (hash_key) {
    store(to + sizeof header, __builtin_bswap64(high_bits(*hash_key)));
    store(to + sizeof header + 8, __builtin_bswap64(low_bits(*hash_key)));
  }
  std::memcpy(to + fixed, key.data(), key.size());
}

std::uint32_t write_record(std::byte* to, std::string_view key, byte_view data,
                           const uint128* hash_key) {
  const std::uint32_t stride = record_stride(key.size(), data.size(), hash_key != nullptr);
  // The last 8 bytes first: whatever of them is padding stays zero.
  store(to + stride - record_alignment, std::uint64_t{0});
  write_record_head(to, key, data.size(), hash_key);
  const std::size_t fixed = sizeof(record_header) + (hash_key ? explicit_hash_key_bytes : 0);
  if (!data.empty()) std::memcpy(to + fixed + key.size(), data.data(), data.size());
  return stride;
}

}  // namespace millrace
