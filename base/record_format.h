#pragma once
/// A record's bytes: the same on the wire and in the log. Do not change: both formats depend on it.
///
///   record_header | [explicit hash key, 16 bytes, big-endian] | partition key | data | padding to
///   8
///
/// A record starts at a multiple of 8 from the start of its datagram or block; that says nothing
/// about its address, so read it with `record_view`, never through a struct pointer.
#include <string_view>

#include "base/endian.h"
#include "base/types.h"

namespace millrace {

struct record_header {
  std::uint32_t record_bytes;  ///< header, hash key, key and data; without the padding
  std::uint16_t key_bytes;     ///< partition key in bytes, so that data starts without a scan
  std::uint8_t flags;          ///< record_flag bits; unknown ones are refused
  std::uint8_t reserved;       ///< zero; refused otherwise, so that it can get a meaning
};
static_assert(sizeof(record_header) == 8);
static_assert(offsetof(record_header, key_bytes) == 4 && offsetof(record_header, flags) == 6);

enum record_flag : std::uint8_t {
  record_has_hash_key = 1,  ///< 16 bytes of explicit hash key follow the header
};

inline constexpr std::uint32_t record_alignment = 8;
inline constexpr std::uint32_t explicit_hash_key_bytes = 16;

/// Reads one well-formed record in place. Non-owning; cheap to copy.
class record_view {
 public:
  explicit record_view(const std::byte* bytes)
      : bytes_(bytes), header_(load<record_header>(bytes)) {}

  const std::byte* bytes() const { return bytes_; }
  std::uint32_t record_bytes() const { return header_.record_bytes; }
  /// Bytes to the next record.
  std::uint32_t stride() const {
    return static_cast<std::uint32_t>(align_up(header_.record_bytes, record_alignment));
  }
  bool has_hash_key() const { return (header_.flags & record_has_hash_key) != 0; }
  uint128 hash_key() const;
  std::string_view key() const {
    return {reinterpret_cast<const char*>(bytes_) + key_offset(), header_.key_bytes};
  }
  byte_view data() const {
    const std::uint32_t from = key_offset() + header_.key_bytes;
    return {bytes_ + from, header_.record_bytes - from};
  }

 private:
  std::uint32_t key_offset() const {
    return sizeof(record_header) + (has_hash_key() ? explicit_hash_key_bytes : 0);
  }
  const std::byte* bytes_;
  record_header header_;
};

/// What is wrong with a record's bytes.
enum class record_fault : std::uint8_t {
  none,
  truncated,     ///< record_bytes goes past the end, or does not hold header, hash key and key
  bad_flags,     ///< an unknown flag, or reserved is not zero
  empty_key,     ///< the partition key is empty
  key_too_long,  ///< over 256 characters
  key_not_utf8,
  too_large,  ///< key and data over 10 MiB
};
std::string_view to_string(record_fault fault);

/// Checks the record at the start of `bytes` (which may hold more after it). Hostile input is
/// expected: nothing outside `bytes` is read.
record_fault check_record(byte_view bytes);

/// Checks a partition key alone: 1 to 256 characters of UTF-8.
record_fault check_partition_key(std::string_view key);

/// Bytes that write_record() will use, padding included.
std::uint32_t record_stride(std::size_t key_bytes, std::size_t data_bytes, bool has_hash_key);

/// Writes what stands before a record's data: header, hash key and key. For who makes records in
/// place, and zeroes the padding itself.
void write_record_head(std::byte* to, std::string_view key, std::size_t data_bytes,
                       const uint128* hash_key);

/// Writes one record, padding zeroed, to `to`, which has record_stride() bytes; the caller has
/// checked key and sizes. `hash_key` may be null. Returns the bytes written.
std::uint32_t write_record(std::byte* to, std::string_view key, byte_view data,
                           const uint128* hash_key);

}  // namespace millrace
