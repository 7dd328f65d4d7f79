#pragma once
/// A view's sketches on a device: one open-addressing table of counts, or of registers.
#include <cstdint>

#include "gpu/ddsketch.h"
#include "gpu/device_tables.h"
#include "gpu/device_words.cuh"
#include "gpu/hyperloglog.h"

namespace millrace {

static_assert(dds_bins <= 1u << sketch_bin_bits && hll_registers / 8 <= 1u << sketch_bin_bits);

/// What one value asks of a sketch.
struct sketch_request {
  bool is_wanted = false;  ///< null and NaN ask nothing
  std::uint32_t bin = 0;
  hll_update registers{};  ///< of distinct ones
};
__device__ inline sketch_request request_of(const state_part& part, const field_value& value) {
  sketch_request request;
  if (value.is_null()) return request;
  if (part.kind == part_kind::distinct) {
    request.registers = hll_update_of(distinct_hash(part.type, value));
    request.bin = request.registers.index / 8;
    request.is_wanted = true;
    return request;
  }
  const std::uint64_t bits = bits_of(number_of(part.type, value.bits));
  if (is_nan_bits(bits)) return request;
  request.bin = dds_bin(bits);
  request.is_wanted = true;
  return request;
}

/// The value of the bin; null: there is no room for another bin.
__device__ inline std::uint64_t* find_bin(const device_tables& tables, std::uint64_t key) {
  table_counters& counters = *tables.counters;
  for (std::uint64_t at = slot_hash(tables, key) & tables.sketch_mask;;) {
    sketch_slot& slot = tables.sketches[at];
    const std::uint64_t seen = load_now(&slot.key);
    if (seen == key) return &slot.value;
    if (seen != 0) {
      at = (at + 1) & tables.sketch_mask;
      continue;
    }
    if (device_words::add(&counters.sketch_entries, 1) >= tables.sketch_entries_max) {
      device_words::add(&counters.sketch_entries, ~std::uint64_t{0});
      return nullptr;
    }
    const atomic_word old = atomicCAS(as_atomic(&slot.key), atomic_word{0}, atomic_word{key});
    if (old == 0) return &slot.value;
    device_words::add(&counters.sketch_entries, ~std::uint64_t{0});
  }
}

__device__ inline void raise_register(std::uint64_t* value, const hll_update& to) {
  const std::uint32_t shift = 8 * (to.index % 8);
  for (std::uint64_t seen = load_now(value);;) {
    if ((seen >> shift & 0xff) >= to.rank) return;
    const std::uint64_t raised = (seen & ~(std::uint64_t{0xff} << shift)) | std::uint64_t{to.rank}
                                                                                << shift;
    const std::uint64_t old = atomicCAS(as_atomic(value), atomic_word{seen}, atomic_word{raised});
    if (old == seen) return;
    seen = old;
  }
}

}  // namespace millrace
