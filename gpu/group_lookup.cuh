#pragma once
/// A record's pane and group on a device: found, or made where there is room. A slot that is being
/// filled is waited for, so that the limits hold exactly and no group is there twice; threads of
/// one warp make progress one by one on every device from compute capability 7.0 on.
#include <cstdint>

#include "gpu/device_tables.h"
#include "gpu/device_words.cuh"
#include "gpu/fold_device_program.cuh"
#include "gpu/fold_records.cuh"
#include "gpu/key_words.h"

namespace millrace {

/// A record's group key: where it comes from, its bytes and what of its hash
/// they make.
struct record_key {
  device_columns columns;
  const key_field* fields;
  std::uint32_t field_count;
  std::uint32_t place;
  std::uint32_t bytes;
  std::uint64_t state;  ///< for pane_group_hash()

  template <class Visit>
  __device__ std::uint32_t visit(Visit each) const {
    return visit_key_words(
        fields, field_count,
        [this](std::uint16_t column) -> const field_value& { return columns.at(column, place); },
        each);
  }
};

/// `bytes` is key_too_long where it is.
__device__ inline record_key read_key(const device_program& program, const device_columns& columns,
                                      std::uint32_t place) {
  record_key key{columns, program.key, program.key_fields, place, 0, 0};
  std::uint64_t state = program.secret.start;
  key.bytes = key.visit([&](std::uint32_t, std::uint64_t word) {
    state = group_hash_step(state, word, program.secret);
  });
  key.state = state;
  return key;
}

/// Never 0: times are within 2^61 of 1970.
__device__ inline std::uint64_t pane_key(std::int64_t start_us) {
  return static_cast<std::uint64_t>(start_us) + (1ull << 62);
}
__device__ inline std::uint32_t first_pane_slot(const device_tables& tables, std::uint64_t key) {
  return static_cast<std::uint32_t>(slot_hash(tables, key)) & tables.pane_mask;
}

/// True: the pane is there now. False: there is no room for it, or its windows are closed.
__device__ inline bool find_pane(const device_tables& tables, std::int64_t start_us,
                                 std::int64_t size_us) {
  if (start_us + size_us <= tables.closed_until_us) return false;
  const std::uint64_t key = pane_key(start_us);
  const auto probe = [&](std::uint32_t& at) {
    for (at = first_pane_slot(tables, key);; at = (at + 1) & tables.pane_mask) {
      const std::uint64_t seen = load_now(&tables.pane_slots[at]);
      if (seen == key) return true;
      if (seen == 0) return false;
    }
  };
  std::uint32_t at = 0;
  if (probe(at)) return true;
  // Full: nobody makes another one, so that a second look is the last word.
  if (load_now(&tables.counters->panes) >= tables.panes_max) return probe(at);
  for (;;) {
    if (atomicCAS(&tables.counters->pane_lock, 0u, 1u) != 0) continue;
    __threadfence();
    bool found = probe(at);
    const std::uint32_t count = load_now(&tables.counters->panes);
    if (!found && count < tables.panes_max) {
      store_now(reinterpret_cast<std::uint64_t*>(&tables.panes[count]),
                static_cast<std::uint64_t>(start_us));
      atomicAdd(&tables.counters->panes, 1u);
      atomicExch(as_atomic(&tables.pane_slots[at]), static_cast<atomic_word>(key));
      found = true;
    }
    __threadfence();
    atomicExch(&tables.counters->pane_lock, 0u);
    return found;
  }
}

__device__ inline std::uint64_t* row_at(const device_tables& tables, std::uint32_t row) {
  return tables.rows + std::size_t{row} * tables.row_words;
}
__device__ inline std::uint64_t* state_at(const device_tables& tables, std::uint32_t row) {
  return row_at(tables, row) + row_key + tables.key_words;
}
__device__ inline std::uint64_t* key_at(const device_tables& tables, std::uint64_t* row) {
  return tables.keys_in_heap ? tables.heap + load_now(row + row_key) : row + row_key;
}
__device__ inline std::uint32_t* key_bytes_at(std::uint64_t* row) {
  return reinterpret_cast<std::uint32_t*>(row + row_key_bytes);
}
__device__ inline std::uint32_t* lock_at(std::uint64_t* row) {
  return key_bytes_at(row) + 1;
}

__device__ inline bool is_row_of(const device_tables& tables, std::uint64_t* row,
                                 std::uint64_t hash, std::int64_t pane_us, const record_key& key) {
  if (load_now(row + row_hash) != hash) return false;
  if (load_now(row + row_pane) != static_cast<std::uint64_t>(pane_us)) return false;
  if (load_now(key_bytes_at(row)) != key.bytes) return false;
  const std::uint64_t* const words = key_at(tables, row);
  std::uint64_t different = 0;
  key.visit([&](std::uint32_t i, std::uint64_t word) { different |= load_now(words + i) ^ word; });
  return different == 0;
}

/// A row that nobody has, with the key and an empty state; no_row: the heap is full.
__device__ inline std::uint32_t make_row(const device_tables& tables, const device_program& program,
                                         std::uint64_t hash, std::int64_t pane_us,
                                         const record_key& key) {
  table_counters& counters = *tables.counters;
  std::uint64_t heap_at = 0;
  if (tables.keys_in_heap) {
    const std::uint64_t words = (key.bytes + 7) / 8;
    heap_at = device_words::add(&counters.heap_words, words);
    if (heap_at + words > tables.heap_words_max) {
      device_words::add(&counters.heap_words, ~words + 1);
      return no_row;
    }
  }
  std::uint32_t number = 0;
  const std::int32_t left = atomicAdd(&counters.free_rows, -1);
  if (left > 0) {
    number = tables.free_list[left - 1];
  } else {
    atomicAdd(&counters.free_rows, 1);
    number = atomicAdd(&counters.fresh_rows, 1u);
  }
  std::uint64_t* const row = row_at(tables, number);
  store_now(row + row_pane, static_cast<std::uint64_t>(pane_us));
  store_now(row + row_hash, hash);
  store_now(row + row_key_bytes, key.bytes);  // and no lock
  if (tables.keys_in_heap) store_now(row + row_key, heap_at);
  std::uint64_t* const words = tables.keys_in_heap ? tables.heap + heap_at : row + row_key;
  key.visit([&](std::uint32_t i, std::uint64_t word) { store_now(words + i, word); });
  std::uint64_t* const state = state_at(tables, number);
  for (std::uint32_t i = 0; i < program.state_words; ++i)
    store_now(state + i, program.empty[i]);
  return number;
}

/// The group's row; no_row: there is no room for another group.
__device__ inline std::uint32_t find_group(const device_tables& tables,
                                           const device_program& program, std::int64_t pane_us,
                                           const record_key& key) {
  const std::uint64_t hash = pane_group_hash(key.state, pane_us, program.secret);
  table_counters& counters = *tables.counters;
  bool was_full = false;
  for (std::uint64_t at = hash & tables.index_mask;;) {
    const std::uint64_t slot = load_now(&tables.index[at]);
    if (slot == slot_busy) continue;
    if (slot != slot_free) {
      if (((slot ^ hash) & slot_tag_mask) == 0) {
        __threadfence();
        const std::uint32_t row = row_of_slot(slot);
        if (is_row_of(tables, row_at(tables, row), hash, pane_us, key)) return row;
      }
      at = (at + 1) & tables.index_mask;
      continue;
    }
    // Full: nobody makes another group, so that a second look is the last word.
    if (load_now(&counters.groups) >= tables.groups_max) {
      if (was_full) return no_row;
      was_full = true;
      continue;
    }
    if (atomicCAS(as_atomic(&tables.index[at]), atomic_word{slot_free}, atomic_word{slot_busy}) !=
        slot_free) {
      continue;
    }
    std::uint32_t row = no_row;
    if (device_words::add(&counters.groups, 1) < tables.groups_max) {
      row = make_row(tables, program, hash, pane_us, key);
    }
    if (row == no_row) device_words::add(&counters.groups, ~std::uint64_t{0});
    __threadfence();
    atomicExch(as_atomic(&tables.index[at]),
               static_cast<atomic_word>(row == no_row ? slot_free : make_slot(hash, row)));
    return row;
  }
}

}  // namespace millrace
