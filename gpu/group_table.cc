#include "gpu/group_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace millrace {
namespace {

/// Keys up to this long lie in their rows.
constexpr std::uint32_t inline_key_bytes_max = 32;
constexpr std::size_t slots_min = 16;
/// At most 5 of 8 slots are taken.
constexpr std::size_t load_parts = 8;
constexpr std::size_t load_parts_max = 5;

}  // namespace

padded_key::padded_key(byte_view key)
    : bytes_(static_cast<std::uint32_t>(key.size())), words_((key.size() + 7) / 8) {
  if (!key.empty()) std::memcpy(words_.data(), key.data(), key.size());
}

std::uint64_t padded_key::hash(const hash_secret& secret) const {
  return hash_group_key(words_.data(), static_cast<std::uint32_t>(words_.size()), secret);
}

alignas(slot_lines::line_bytes) group_table::slot group_table::no_slots[line_slots];

group_table::group_table(std::optional<std::uint32_t> key_bytes,
                         std::span<const std::uint64_t> empty, memory_budget& budget)
    : is_inline_(key_bytes && *key_bytes <= inline_key_bytes_max),
      fixed_key_bytes_(key_bytes.value_or(0)),
      head_words_(is_inline_ ? (fixed_key_bytes_ + 7) / 8 : 2),
      empty_(empty),
      budget_(budget),
      slots_(no_slots),
      shift_(63),
      rows_(budget),
      keys_(budget) {}

group_table::~group_table() {
  budget_.groups -= size_;
  if (slots_ != no_slots)
    leave_words(budget_, reinterpret_cast<std::uint64_t*>(slots_), slot_words * (mask_ + 1));
}

bool group_table::resize(std::size_t slots) {
  std::uint64_t* const words = take_words(budget_, slot_words * slots);
  if (words == nullptr) return false;
  std::fill_n(words, slot_words * slots, 0);
  slot* const old = slots_;
  const std::size_t old_count = old == no_slots ? 0 : mask_ + 1;
  slots_ = reinterpret_cast<slot*>(words);
  mask_ = slots - 1;
  shift_ = static_cast<std::uint32_t>(64 - std::countr_zero(slots));
  for (std::size_t i = 0; i < old_count; ++i) {
    if (old[i].row != nullptr) place(old[i].hash, old[i].row);
  }
  if (old_count != 0)
    give_words(budget_, reinterpret_cast<std::uint64_t*>(old), slot_words * old_count);
  return true;
}

void group_table::place(std::uint64_t hash, std::uint64_t* row) {
  std::size_t at = home(hash, shift_);
  while (slots_[at].row != nullptr)
    at = (at + 1) & mask_;
  slots_[at] = {hash, row};
}

void group_table::expect(std::uint64_t groups) {
  const std::size_t slots = std::bit_ceil(groups * load_parts / load_parts_max + slots_min);
  if (slots > mask_ + 1) (void)resize(slots);
}

std::uint64_t* group_table::insert(std::uint64_t hash, key_ref key) {
  if (budget_.groups >= budget_.groups_max) return nullptr;
  if (slots_ == no_slots || (size_ + 1) * load_parts > (mask_ + 1) * load_parts_max) {
    if (!resize(slots_ == no_slots ? slots_min : 2 * (mask_ + 1))) return nullptr;
  }
  std::uint64_t* row = free_rows_;
  if (row != nullptr) {
    free_rows_ = reinterpret_cast<std::uint64_t*>(row[head_words_]);
  } else {
    row = rows_.take(head_words_ + empty_.size());
    if (row == nullptr) return nullptr;
    std::fill_n(row, head_words_, 0);  // it has no room for a far key
  }
  if (!write_key(row, key)) {
    row[head_words_] = reinterpret_cast<std::uint64_t>(free_rows_);
    free_rows_ = row;
    return nullptr;
  }
  std::ranges::copy(empty_, state(row));
  place(hash, row);
  ++size_;
  ++budget_.groups;
  return row;
}

/// A far key is (address, bytes). A row that is used again keeps the place of its key, if the new
/// one fits there.
bool group_table::write_key(std::uint64_t* row, key_ref key) {
  if (is_inline_) {
    std::copy_n(key.words, head_words_, row);
    return true;
  }
  const auto room = static_cast<std::uint32_t>(row[1] >> 32);
  auto* place = reinterpret_cast<std::uint64_t*>(row[0]);
  std::uint32_t place_words = room;
  if (room < key.word_count()) {
    place = keys_.take(key.word_count());
    if (place == nullptr) return false;
    place_words = key.word_count();
  }
  std::copy_n(key.words, key.word_count(), place);
  row[0] = reinterpret_cast<std::uint64_t>(place);
  row[1] = std::uint64_t{place_words} << 32 | key.bytes;
  return true;
}

bool group_table::has_far_key(const std::uint64_t* row, key_ref key) const {
  const auto bytes = static_cast<std::uint32_t>(row[1]);
  return bytes == key.bytes &&
         std::memcmp(reinterpret_cast<const void*>(row[0]), key.words, bytes) == 0;
}

key_ref group_table::key(const std::uint64_t* row) const {
  if (is_inline_) return {row, fixed_key_bytes_};
  return {reinterpret_cast<const std::uint64_t*>(row[0]), static_cast<std::uint32_t>(row[1])};
}

void group_table::erase(std::uint64_t hash, std::uint64_t* row) {
  std::size_t hole = home(hash, shift_);
  while (slots_[hole].row != row)
    hole = (hole + 1) & mask_;
  // What stands behind moves up, unless it would then stand before its home.
  for (std::size_t at = (hole + 1) & mask_; slots_[at].row != nullptr; at = (at + 1) & mask_) {
    const std::size_t first = home(slots_[at].hash, shift_);
    if (((at - first) & mask_) < ((at - hole) & mask_)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole].row = nullptr;
  row[head_words_] = reinterpret_cast<std::uint64_t>(free_rows_);
  free_rows_ = row;
  --size_;
  --budget_.groups;
}

}  // namespace millrace
