#pragma once
/// A group's key as bytes: the encodings of its fields one after another, so that comparing bytes
/// compares keys field by field, nulls first. Do not change: snapshots and stored rows hold it.
///
///   int64, timestamp, float64
///                01, then to_ordered() (ordered_bits.h), most significant byte first; null: 9 × 00
///   boolean      01, then 00 or 01; null: 00 00
///   string       01, then its bytes with 00 written as 00 ff, then 00; null: 00
///
/// No key is the beginning of another of the same fields, so filling one with zeros keeps keys
/// apart.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/limits.h"
#include "gpu/field_value.h"
#include "gpu/host_device.h"
#include "gpu/ordered_bits.h"
#include "gpu/text_reader.h"
#include "gpu/view_plan.h"

namespace millrace {

struct key_field {
  field_type type{};
  std::uint16_t column = 0;
};

/// Bytes of a field that is no string.
MILLRACE_HOST_DEVICE inline constexpr std::uint32_t fixed_key_bytes(field_type type) {
  return type == field_type::boolean ? 2 : 9;
}

/// Writes the fixed_key_bytes() of a field that is no string.
MILLRACE_HOST_DEVICE inline void encode_fixed(field_type type, const field_value& value,
                                              std::byte* out) {
  const bool is_value = !value.is_null();
  out[0] = std::byte{is_value};
  if (type == field_type::boolean) {
    out[1] = std::byte{is_value && value.bits != 0};
    return;
  }
  const std::uint64_t ordered = is_value ? __builtin_bswap64(to_ordered(type, value.bits)) : 0;
  memcpy(out + 1, &ordered, sizeof ordered);
}

/// Writes the fields of a key one after another. The room is `bytes_max`, and then up to the next
/// multiple of eight.
class key_writer {
 public:
  MILLRACE_HOST_DEVICE key_writer(std::byte* out, std::uint32_t bytes_max)
      : out_(out), bytes_max_(bytes_max) {}

  /// False: the key is too long.
  MILLRACE_HOST_DEVICE bool add(field_type type, const field_value& value) {
    if (type == field_type::string) return add_text(value);
    if (bytes_ + fixed_key_bytes(type) > bytes_max_) return false;
    encode_fixed(type, value, out_ + bytes_);
    bytes_ += fixed_key_bytes(type);
    return true;
  }
  MILLRACE_HOST_DEVICE void fill_word() const {
    for (std::uint32_t at = bytes_; at % 8 != 0; ++at)
      out_[at] = std::byte{0};
  }
  MILLRACE_HOST_DEVICE std::uint32_t bytes() const { return bytes_; }

 private:
  MILLRACE_HOST_DEVICE bool put(unsigned char byte) {
    if (bytes_ == bytes_max_) return false;
    out_[bytes_++] = static_cast<std::byte>(byte);
    return true;
  }
  MILLRACE_HOST_DEVICE bool add_text(const field_value& value) {
    if (value.is_null()) return put(0);
    if (!put(1)) return false;
    text_reader text(value);
    for (int byte = text.next(); byte != text_reader::at_end; byte = text.next()) {
      if (!put(static_cast<unsigned char>(byte)) || (byte == 0 && !put(0xff))) return false;
    }
    return put(0);
  }

  std::byte* out_;
  std::uint32_t bytes_max_;
  std::uint32_t bytes_ = 0;
};

}  // namespace millrace
