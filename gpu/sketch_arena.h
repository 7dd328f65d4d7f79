#pragma once
/// The sketches of one window on the CPU. A sketch starts as a small open-addressing table of
/// (key, count) words and doubles; HyperLogLog's becomes its 4096 registers when that is smaller. A
/// state's word is the address of its block, or 0: nothing yet. Blocks that were outgrown are used
/// again for other sketches. Bins follow from values that producers choose, so where they lie in a
/// table goes by the fold's secret (group_hash.h).
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "gpu/ddsketch.h"
#include "gpu/fold_memory.h"
#include "gpu/group_hash.h"
#include "gpu/hyperloglog.h"

namespace millrace {

/// An entry of a sketch, also in snapshots: a bin or register, and its count or rank.
struct sketch_entry {
  std::uint32_t key = 0;
  std::uint64_t count = 0;
};

/// A bin counts no further.
inline constexpr std::uint64_t sketch_count_max = (1ull << 45) - 1;

class sketch_arena {
 public:
  /// The budget outlives it.
  sketch_arena(memory_budget& budget, const hash_secret& secret)
      : secret_(secret), words_(budget) {}

  /// Has a sketch's memory fetched that counting is about to look at: first its beginning, and when
  /// that is there, the slot where the key begins. Of 0, nothing.
  static void prefetch(std::uint64_t sketch) {
    __builtin_prefetch(reinterpret_cast<const void*>(sketch));
  }
  void prefetch_slot(std::uint64_t sketch, std::uint32_t key) const;
  /// A count of one to a bin. False: the budget says no.
  bool count(std::uint64_t& sketch, std::uint32_t key);
  /// Makes sure that `key` can go in without more memory. False: the budget says no.
  bool prepare(std::uint64_t& sketch, std::uint32_t key, bool is_distinct);
  /// A count of `more` to a bin that was prepared.
  void add(std::uint64_t sketch, std::uint32_t key, std::uint64_t more) const;
  /// A register that was prepared to at least `rank`.
  void raise(std::uint64_t sketch, std::uint32_t key, std::uint64_t rank) const;
  /// An entry of another sketch. False: the budget says no.
  bool put(std::uint64_t& sketch, const sketch_entry& entry, bool is_distinct);
  /// Everything of another sketch, of any arena. False: the budget says no.
  bool merge(std::uint64_t& sketch, std::uint64_t from, bool is_distinct);
  void release(std::uint64_t sketch);

  /// By key.
  static std::vector<sketch_entry> entries(std::uint64_t sketch);

  /// Where looking for a key begins in a table of that many slots, one at least.
  std::uint32_t home(std::uint32_t key, std::uint32_t slots_log2) const {
    const std::uint64_t word = key;
    return static_cast<std::uint32_t>(hash_group_key(&word, 1, secret_) >> (64 - slots_log2));
  }

 private:
  std::uint64_t take(std::uint32_t slots_log2);
  bool grow(std::uint64_t& sketch, bool is_distinct);
  std::uint64_t* slot_of(std::uint64_t* block, std::uint32_t slots_log2, std::uint32_t key) const;

  const hash_secret secret_;
  word_arena words_;
  std::array<std::vector<std::uint64_t*>, 32> free_;  ///< by log2 of slots
};

/// What the sketches say.
std::uint64_t distinct_estimate(std::uint64_t sketch);
/// False: no value was counted.
bool quantile_estimate(std::uint64_t sketch, double quantile, std::uint64_t& bits);

}  // namespace millrace
