#pragma once
/// Groups of one window on the CPU: an open-addressing index of (hash, row), and rows that stay
/// where they are. A row is the group's key, then its state; a key longer than inline_key_words_max
/// lies beside. Linear probing from the first slot of a cache line, whose four are compared at
/// once, so that the processor has nothing to guess; a slot carries the whole hash, so that neither
/// growing nor erasing touches rows, and a probe touches only the row that it is for.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/types.h"
#include "gpu/fold_batch.h"
#include "gpu/fold_memory.h"
#include "gpu/group_hash.h"

namespace millrace {

/// A key's bytes as words, filled with zeros, and its hash.
class padded_key {
 public:
  explicit padded_key(byte_view key);
  key_ref key() const { return {words_.data(), bytes_}; }
  std::uint64_t hash(const hash_secret& secret) const;

 private:
  std::uint32_t bytes_;
  std::vector<std::uint64_t> words_;
};

/// __builtin_prefetch's locality: the second level has more misses under way at once than the
/// first.
inline constexpr int second_level_cache = 2;

/// Where a table has its slots, to have them fetched. Until the table grows.
struct slot_lines {
  static constexpr std::size_t line_bytes = 64;
  static constexpr std::size_t slot_bytes = 16;
  const std::byte* slots = nullptr;  ///< null: nowhere
  std::uint32_t shift = 63;

  void prefetch(std::uint64_t hash) const {
    // As a number: there may be no table yet, and nothing is read.
    const std::uintptr_t at =
        reinterpret_cast<std::uintptr_t>(slots) + (hash >> shift) * slot_bytes;
    __builtin_prefetch(reinterpret_cast<const void*>(at), 0, second_level_cache);
  }
};

class group_table {
 public:
  /// `key_bytes`: of every key, where they are of one length. `empty`: the state of a new group.
  /// Both it and the budget outlive the table.
  group_table(std::optional<std::uint32_t> key_bytes, std::span<const std::uint64_t> empty,
              memory_budget& budget);
  ~group_table();
  group_table(const group_table&) = delete;
  group_table& operator=(const group_table&) = delete;

  /// Makes room for that many groups, where the budget allows it.
  void expect(std::uint64_t groups);

  slot_lines lines() const { return {reinterpret_cast<const std::byte*>(slots_), shift_}; }
  void prefetch(const std::uint64_t* hashes, std::uint32_t count) const {
    const slot_lines lines = this->lines();
    for (std::uint32_t i = 0; i < count; ++i)
      lines.prefetch(hashes[i]);
  }
  /// The only row that the hash's line of slots has for it, or any other one, or null; its memory
  /// is under way. Whoever asks compares the key, and falls back to find().
  std::uint64_t* guess(std::uint64_t hash) const {
    const slot* const line = &slots_[home(hash, shift_)];
    const auto is_second = static_cast<unsigned>(line[1].hash == hash);
    const auto is_third = static_cast<unsigned>(line[2].hash == hash);
    const auto is_fourth = static_cast<unsigned>(line[3].hash == hash);
    const unsigned number = (is_third | is_fourth) << 1 | is_second | is_fourth;
    std::uint64_t* const row = line[number].row;
    __builtin_prefetch(row, 0, second_level_cache);
    return row;
  }
  bool has_key(const std::uint64_t* row, key_ref key) const {
    if (!is_inline_) return has_far_key(row, key);
    // One number, the usual: without a loop.
    if (head_words_ == 2) return ((row[0] ^ key.words[0]) | (row[1] ^ key.words[1])) == 0;
    std::uint64_t different = 0;
    for (std::uint32_t i = 0; i < head_words_; ++i)
      different |= row[i] ^ key.words[i];
    return different == 0;
  }
  /// The group's row, or null.
  std::uint64_t* find(std::uint64_t hash, key_ref key) const {
    return find_where(hash, key, [](const std::uint64_t*) { return true; });
  }
  /// A table may hold several rows of one key: the first that `accept` takes, or null.
  template <class Accept>
  std::uint64_t* find_where(std::uint64_t hash, key_ref key, Accept accept) const {
    for (std::size_t at = home(hash, shift_); slots_[at].row != nullptr; at = (at + 1) & mask_) {
      const slot& one = slots_[at];
      if (one.hash == hash && has_key(one.row, key) && accept(one.row)) return one.row;
    }
    return nullptr;
  }
  /// A new row with an empty state. Null: the budget does not allow it.
  std::uint64_t* insert(std::uint64_t hash, key_ref key);
  /// Takes a row out; it is used again for a later one.
  void erase(std::uint64_t hash, std::uint64_t* row);

  std::uint64_t* state(std::uint64_t* row) const { return row + head_words_; }
  const std::uint64_t* state(const std::uint64_t* row) const { return row + head_words_; }
  key_ref key(const std::uint64_t* row) const;
  std::uint64_t size() const { return size_; }
  /// visit(row, hash) of each.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t at = 0; at <= mask_; ++at) {
      if (slots_[at].row != nullptr) visit(slots_[at].row, slots_[at].hash);
    }
  }
  /// visit(row) of each, where the memory allows it in the order in which it lies there.
  template <class Visit>
  void for_each_row(Visit visit) const {
    if (free_rows_ == nullptr) {
      rows_.for_each(head_words_ + empty_.size(), visit);
    } else {
      for_each([&](std::uint64_t* row, std::uint64_t) { visit(row); });
    }
  }

 private:
  struct slot {
    std::uint64_t hash;
    std::uint64_t* row;  ///< null: free
  };
  static_assert(sizeof(slot) == slot_lines::slot_bytes);
  static constexpr std::size_t slot_words = sizeof(slot) / sizeof(std::uint64_t);
  static constexpr std::size_t line_slots = slot_lines::line_bytes / sizeof(slot);
  /// What a table has before its first row, so that looking needs no check.
  alignas(slot_lines::line_bytes) static slot no_slots[line_slots];

  /// The first slot of the line where probing begins.
  static std::size_t home(std::uint64_t hash, std::uint32_t shift) {
    return hash >> shift & ~(line_slots - 1);
  }

  bool has_far_key(const std::uint64_t* row, key_ref key) const;
  bool write_key(std::uint64_t* row, key_ref key);
  void place(std::uint64_t hash, std::uint64_t* row);
  bool resize(std::size_t slots);

  bool is_inline_;
  std::uint32_t fixed_key_bytes_;
  std::uint32_t head_words_;
  std::span<const std::uint64_t> empty_;
  memory_budget& budget_;
  slot* slots_;
  std::size_t mask_ = 0;
  std::uint32_t shift_;  ///< of a hash, to its first slot
  std::uint64_t size_ = 0;
  std::uint64_t* free_rows_ = nullptr;  ///< each names the next in its first word
  word_arena rows_;
  word_arena keys_;
};

}  // namespace millrace
