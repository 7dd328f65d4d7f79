#pragma once
/// Groups as they come from a device and go to it, and what they are on the host.
#include <cstdint>
#include <vector>

#include "gpu/device_tables.h"
#include "gpu/fold_program.h"
#include "gpu/pane_store.h"

namespace millrace {

struct fetched_groups {
  std::uint32_t row_words = 0;
  std::vector<std::uint64_t> rows;     ///< device_tables.h's; a heap's place is one in `keys`
  std::vector<std::uint32_t> numbers;  ///< a row
  std::vector<std::uint64_t> keys;     ///< of rows whose keys lie in a heap
  std::vector<sketch_slot> bins;       ///< of those rows
};

/// A snapshot's group behind the others.
void append_group(const fold_program& program, const snapshot_entry& entry, fetched_groups& groups);

/// All of `groups` into `windows`, to what is there of the same groups.
void absorb(const fold_program& program, const fetched_groups& groups, pane_store& windows);

}  // namespace millrace
