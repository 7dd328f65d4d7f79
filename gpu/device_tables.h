#pragma once
/// A view's state in a device's memory: its groups, their sketches, its panes. Plain pointers,
/// passed to kernels by value; device_view.cuh owns what they point to.
///
/// Groups: an open-addressing index of slots, each the upper half of a hash and a row's number, and
/// rows that stay where they are. A row:
///
///   pane start | hash | key bytes u32, lock u32 | key words, or where they are in the heap | state
///
/// The state is aggregate.h's; words of sketches are 0.
///
/// Sketches: one table for all of a view, of (which bin of which sketch of which row, its count). A
/// HyperLogLog's bin is eight registers, a byte each.
///
/// Groups, bins and panes come from what producers write: all three tables go by the view's secret.
#include <cstdint>

#include "gpu/group_hash.h"
#include "gpu/host_device.h"

namespace millrace {

/// What the tables hold now.
struct table_counters {
  std::uint64_t groups;
  std::uint64_t heap_words;
  std::uint64_t sketch_entries;
  std::int32_t free_rows;  ///< of `free_list`; below zero for a moment
  std::uint32_t fresh_rows;
  std::uint32_t panes;
  std::uint32_t pane_lock;
};

struct sketch_slot {
  std::uint64_t key;  ///< 0: free
  std::uint64_t value;
};

struct device_tables {
  std::uint64_t* index;
  std::uint64_t index_mask;
  std::uint64_t* rows;
  std::uint32_t row_words;
  std::uint32_t key_words;  ///< in the row: 1 where keys are in the heap
  bool keys_in_heap;
  bool sketches_fit;  ///< what this block can bring fits in any case
  std::uint32_t* free_list;
  std::uint64_t groups_max;
  std::uint64_t* heap;
  std::uint64_t heap_words_max;
  sketch_slot* sketches;
  std::uint64_t sketch_mask;
  std::uint64_t sketch_entries_max;
  std::uint64_t* pane_slots;
  std::uint32_t pane_mask;
  std::uint32_t panes_max;
  std::int64_t* panes;  ///< those that are there, in the order they came
  std::int64_t closed_until_us;
  table_counters* counters;
  hash_secret secret;  ///< the program's
};

// The row's words.
inline constexpr std::uint32_t row_pane = 0;
inline constexpr std::uint32_t row_hash = 1;
inline constexpr std::uint32_t row_key_bytes = 2;
inline constexpr std::uint32_t row_key = 3;

inline constexpr std::uint32_t no_row = ~0u;

// A slot of the index.
inline constexpr std::uint64_t slot_free = 0;
inline constexpr std::uint64_t slot_busy = 1;  ///< its row is being written
inline constexpr std::uint64_t slot_tag_mask = 0xffffffff00000000u;

MILLRACE_HOST_DEVICE inline constexpr std::uint64_t make_slot(std::uint64_t hash,
                                                              std::uint32_t row) {
  return (hash & slot_tag_mask) | (row + 2u);
}
MILLRACE_HOST_DEVICE inline constexpr bool has_row(std::uint64_t slot) {
  return static_cast<std::uint32_t>(slot) > 1;
}
MILLRACE_HOST_DEVICE inline constexpr std::uint32_t row_of_slot(std::uint64_t slot) {
  return static_cast<std::uint32_t>(slot) - 2;
}

/// Of a bin or a pane: where looking for it begins, by its lower bits.
MILLRACE_HOST_DEVICE inline std::uint64_t slot_hash(const device_tables& tables,
                                                    std::uint64_t key) {
  return hash_group_key(&key, 1, tables.secret);
}

/// A bin of a sketch: the row, which of its sketches, the bin.
inline constexpr std::uint32_t sketch_bin_bits = 18;
inline constexpr std::uint32_t sketch_number_bits = 8;
MILLRACE_HOST_DEVICE inline constexpr std::uint64_t make_sketch_key(std::uint32_t row,
                                                                    std::uint32_t sketch,
                                                                    std::uint32_t bin) {
  return (std::uint64_t{row} + 1) << (sketch_bin_bits + sketch_number_bits) |
         std::uint64_t{sketch} << sketch_bin_bits | bin;
}
MILLRACE_HOST_DEVICE inline constexpr std::uint32_t row_of_sketch(std::uint64_t key) {
  return static_cast<std::uint32_t>(key >> (sketch_bin_bits + sketch_number_bits)) - 1;
}

}  // namespace millrace
