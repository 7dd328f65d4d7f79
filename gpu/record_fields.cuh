#pragma once
/// A record's header (base/record_format.h) read by a kernel, where records lie at multiples of 8.
#include <cstddef>
#include <cstdint>

#include "base/record_format.h"
#include "gpu/host_device.h"

namespace millrace {

struct record_head {
  std::uint32_t record_bytes;
  std::uint32_t key_bytes;
  bool has_hash_key;

  MILLRACE_HOST_DEVICE std::uint32_t stride() const {
    return (record_bytes + record_alignment - 1) & ~(record_alignment - 1);
  }
  MILLRACE_HOST_DEVICE std::uint32_t key_offset() const {
    return static_cast<std::uint32_t>(sizeof(record_header)) +
           (has_hash_key ? explicit_hash_key_bytes : 0);
  }
};

MILLRACE_HOST_DEVICE inline record_head read_head(const std::byte* record) {
  const auto word = *reinterpret_cast<const std::uint64_t*>(record);
  return {.record_bytes = static_cast<std::uint32_t>(word),
          .key_bytes = static_cast<std::uint32_t>(word >> 32) & 0xffff,
          .has_hash_key = (word >> 48 & record_has_hash_key) != 0};
}

}  // namespace millrace
