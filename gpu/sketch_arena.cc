#include "gpu/sketch_arena.h"

#include <algorithm>

#include "base/endian.h"

namespace millrace {
namespace {

/// A block: a word that says how large and how full it is, then its slots. A slot is
/// (key + 1) << count_bits | count, or 0.
constexpr std::uint32_t count_bits = 45;
constexpr std::uint64_t count_mask = sketch_count_max;
static_assert(count_mask == (1ull << count_bits) - 1 && dds_bins <= 1u << (64 - count_bits - 1));
constexpr std::uint32_t first_slots_log2 = 2;
/// Registers as bytes: as many words as a table of this many slots.
constexpr std::uint32_t registers_log2 = 9;
static_assert(8u << registers_log2 == hll_registers);

struct head {
  std::uint32_t used = 0;
  std::uint16_t slots_log2 = 0;
  std::uint16_t is_registers = 0;
};
static_assert(sizeof(head) == sizeof(std::uint64_t));

std::uint64_t* block_of(std::uint64_t sketch) {
  return reinterpret_cast<std::uint64_t*>(sketch);
}
head head_of(const std::uint64_t* block) {
  return load<head>(block);
}
void set_head(std::uint64_t* block, head value) {
  store(block, value);
}
unsigned char* registers_of(std::uint64_t* block) {
  return reinterpret_cast<unsigned char*>(block + 1);
}

bool is_nearly_full(head of) {
  return of.used >= (3u << of.slots_log2) / 4;
}

/// Puts an entry into its free slot.
void place(std::uint64_t* block, std::uint64_t* slot, std::uint32_t key, std::uint64_t count) {
  *slot = std::uint64_t{key + 1} << count_bits | count;
  head now = head_of(block);
  ++now.used;
  set_head(block, now);
}

}  // namespace

/// The slot of the key, or the free one where it belongs. There is always a free one.
std::uint64_t* sketch_arena::slot_of(std::uint64_t* block, std::uint32_t slots_log2,
                                     std::uint32_t key) const {
  const std::uint32_t mask = (1u << slots_log2) - 1;
  std::uint32_t at = home(key, slots_log2);
  for (;; at = (at + 1) & mask) {
    std::uint64_t* const slot = block + 1 + at;
    if (*slot == 0 || *slot >> count_bits == key + 1) return slot;
  }
}

std::uint64_t sketch_arena::take(std::uint32_t slots_log2) {
  const std::size_t words = (std::size_t{1} << slots_log2) + 1;
  std::vector<std::uint64_t*>& free = free_[slots_log2];
  std::uint64_t* block = nullptr;
  if (!free.empty()) {
    block = free.back();
    free.pop_back();
  } else {
    block = words_.take(words);
    if (block == nullptr) return 0;
  }
  std::fill_n(block, words, 0);
  set_head(block, {.used = 0, .slots_log2 = static_cast<std::uint16_t>(slots_log2)});
  return reinterpret_cast<std::uint64_t>(block);
}

void sketch_arena::release(std::uint64_t sketch) {
  if (sketch == 0) return;
  free_[head_of(block_of(sketch)).slots_log2].push_back(block_of(sketch));
}

bool sketch_arena::grow(std::uint64_t& sketch, bool is_distinct) {
  const head old = head_of(block_of(sketch));
  const bool to_registers = is_distinct && old.slots_log2 + 1u >= registers_log2;
  const std::uint64_t larger = take(to_registers ? registers_log2 : old.slots_log2 + 1u);
  if (larger == 0) return false;
  std::uint64_t* const block = block_of(larger);
  if (to_registers) {
    set_head(block, {.used = 0, .slots_log2 = registers_log2, .is_registers = 1});
  }
  for (const sketch_entry& one : entries(sketch)) {
    if (to_registers) {
      registers_of(block)[one.key] = static_cast<unsigned char>(one.count);
    } else {
      place(block, slot_of(block, old.slots_log2 + 1u, one.key), one.key, one.count);
    }
  }
  release(sketch);
  sketch = larger;
  return true;
}

bool sketch_arena::prepare(std::uint64_t& sketch, std::uint32_t key, bool is_distinct) {
  if (sketch == 0) {
    sketch = take(first_slots_log2);
    return sketch != 0;
  }
  const head now = head_of(block_of(sketch));
  if (now.is_registers != 0 || !is_nearly_full(now)) return true;
  if (*slot_of(block_of(sketch), now.slots_log2, key) != 0) return true;
  return grow(sketch, is_distinct);
}

void sketch_arena::prefetch_slot(std::uint64_t sketch, std::uint32_t key) const {
  if (sketch == 0) return;
  const std::uint64_t* const block = block_of(sketch);
  __builtin_prefetch(block + 1 + home(key, head_of(block).slots_log2));
}

bool sketch_arena::count(std::uint64_t& sketch, std::uint32_t key) {
  if (sketch != 0) {
    std::uint64_t* const block = block_of(sketch);
    std::uint64_t* const slot = slot_of(block, head_of(block).slots_log2, key);
    if (*slot != 0) {
      *slot += (*slot & count_mask) != count_mask ? 1 : 0;
      return true;
    }
  }
  if (!prepare(sketch, key, false)) return false;
  add(sketch, key, 1);
  return true;
}

void sketch_arena::add(std::uint64_t sketch, std::uint32_t key, std::uint64_t more) const {
  std::uint64_t* const block = block_of(sketch);
  std::uint64_t* const slot = slot_of(block, head_of(block).slots_log2, key);
  if (*slot == 0) return place(block, slot, key, more);
  *slot += std::min(more, count_mask - (*slot & count_mask));
}

void sketch_arena::raise(std::uint64_t sketch, std::uint32_t key, std::uint64_t rank) const {
  std::uint64_t* const block = block_of(sketch);
  const head now = head_of(block);
  if (now.is_registers != 0) {
    unsigned char& at = registers_of(block)[key];
    at = std::max(at, static_cast<unsigned char>(rank));
    return;
  }
  std::uint64_t* const slot = slot_of(block, now.slots_log2, key);
  if (*slot == 0) return place(block, slot, key, rank);
  if ((*slot & count_mask) < rank) *slot = (*slot & ~count_mask) | rank;
}

bool sketch_arena::put(std::uint64_t& sketch, const sketch_entry& entry, bool is_distinct) {
  if (!prepare(sketch, entry.key, is_distinct)) return false;
  if (is_distinct) {
    raise(sketch, entry.key, entry.count);
  } else {
    add(sketch, entry.key, entry.count);
  }
  return true;
}

bool sketch_arena::merge(std::uint64_t& sketch, std::uint64_t from, bool is_distinct) {
  for (const sketch_entry& one : entries(from)) {
    if (!put(sketch, one, is_distinct)) return false;
  }
  return true;
}

std::vector<sketch_entry> sketch_arena::entries(std::uint64_t sketch) {
  std::vector<sketch_entry> all;
  if (sketch == 0) return all;
  std::uint64_t* const block = block_of(sketch);
  const head now = head_of(block);
  if (now.is_registers != 0) {
    for (std::uint32_t i = 0; i < hll_registers; ++i) {
      if (registers_of(block)[i] != 0) all.push_back({i, registers_of(block)[i]});
    }
    return all;
  }
  all.reserve(now.used);
  for (std::uint32_t i = 0; i < 1u << now.slots_log2; ++i) {
    const std::uint64_t slot = block[1 + i];
    if (slot == 0) continue;
    all.push_back({static_cast<std::uint32_t>(slot >> count_bits) - 1, slot & count_mask});
  }
  std::ranges::sort(all, {}, &sketch_entry::key);
  return all;
}

std::uint64_t distinct_estimate(std::uint64_t sketch) {
  std::array<std::uint32_t, hll_rank_max + 1> ranks{};
  ranks[0] = hll_registers;
  for (const sketch_entry& one : sketch_arena::entries(sketch)) {
    --ranks[0];
    ++ranks[one.count];
  }
  return hll_estimate(ranks.data());
}

bool quantile_estimate(std::uint64_t sketch, double quantile, std::uint64_t& bits) {
  const std::vector<sketch_entry> bins = sketch_arena::entries(sketch);
  std::uint64_t count = 0;
  for (const sketch_entry& one : bins)
    count += one.count;
  if (count == 0) return false;
  std::uint64_t left = dds_rank(quantile, count);
  for (const sketch_entry& one : bins) {
    if (left < one.count) {
      bits = dds_middle(one.key);
      return true;
    }
    left -= one.count;
  }
  return false;
}

}  // namespace millrace
