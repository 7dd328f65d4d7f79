#pragma once
/// What extraction runs, as plain data that lies on either side.
#include <cstddef>
#include <cstdint>

#include "gpu/field_value.h"
#include "gpu/host_device.h"

namespace millrace {

/// One record as extraction and folding see it. `bytes` is in record_format.h's layout, checked by
/// the door that let it in; on a device the address is the device's.
struct record_input {
  const std::byte* bytes;
  std::uint64_t arrival_us;
  std::uint64_t number;  ///< its index in its shard
  std::uint32_t shard;
  std::uint32_t stride;
};

/// A compiled plan: one block of tables that holds offsets only, so that a copy of the block is the
/// same program elsewhere.
struct extract_program {
  const std::byte* tables;
};

}  // namespace millrace
