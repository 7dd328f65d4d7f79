#include "gpu/row_emitter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "gpu/group_key.h"
#include "gpu/state_update.h"

namespace millrace {
namespace {

constexpr std::uint32_t word_bits = 64;
/// Fewer are sorted by comparing.
constexpr std::size_t radix_items_min = 64;
constexpr std::uint32_t digit_bits = 11;
constexpr std::size_t digits = std::size_t{1} << digit_bits;
/// Rows in the order of their keys are all over the memory: enough to have under way at once.
constexpr std::size_t fetch_ahead = 16;

/// Stable, by one digit.
template <class Item>
void scatter(std::span<const Item> from, std::span<Item> to, std::uint32_t shift) {
  std::array<std::uint32_t, digits> place{};
  for (const Item& one : from)
    ++place[one.bits >> shift & (digits - 1)];
  std::uint32_t sum = 0;
  for (std::uint32_t& one : place)
    sum += std::exchange(one, sum);
  for (const Item& one : from)
    to[place[one.bits >> shift & (digits - 1)]++] = one;
}

/// Room for `more` behind what is there, without moving everything each time.
template <class Row>
void make_room(std::vector<Row>& rows, std::size_t more) {
  if (rows.capacity() - rows.size() < more)
    reserve_huge(rows, std::max(rows.size() + more, 2 * rows.capacity()));
}

/// visit(first, count) of each run of neighbours that `same` takes for equal, two or more.
template <class Item, class Same, class Visit>
void for_runs(std::span<Item> items, Same same, Visit visit) {
  for (std::size_t at = 0; at < items.size();) {
    std::size_t end = at + 1;
    while (end < items.size() && same(items[at], items[end]))
      ++end;
    if (end - at > 1) visit(at, end - at);
    at = end;
  }
}

/// By `bits`. Digit by digit over the uppermost that vary, as many as tell most items apart; what
/// is still together is few or has much in common, and is sorted by itself. `spare`: as many.
template <class Item>
void sort_by_bits(std::span<Item> items, std::span<Item> spare) {
  if (items.size() < radix_items_min) {
    std::ranges::sort(items, {}, &Item::bits);
    return;
  }
  std::uint64_t varying = 0;
  for (const Item& one : items)
    varying |= one.bits ^ items.front().bits;
  if (varying == 0) return;
  const auto wanted = static_cast<std::uint32_t>(std::bit_width(items.size())) + 1;
  const std::uint32_t taken = (wanted + digit_bits - 1) / digit_bits * digit_bits;
  const auto top = static_cast<std::uint32_t>(std::bit_width(varying));
  const auto lowest = static_cast<std::uint32_t>(std::countr_zero(varying));
  const std::uint32_t from = std::max(lowest, top > taken ? top - taken : 0);
  std::span<Item> sorted = items;
  std::span<Item> other = spare;
  for (std::uint32_t shift = from; shift < top; shift += digit_bits) {
    if ((varying >> shift & (digits - 1)) == 0) continue;
    scatter<Item>(sorted, other, shift);
    std::swap(sorted, other);
  }
  if (sorted.data() != items.data()) std::ranges::copy(sorted, items.begin());
  if (from == lowest) return;
  for_runs(
      items, [&](const Item& a, const Item& b) { return a.bits >> from == b.bits >> from; },
      [&](std::size_t at, std::size_t count) {
        sort_by_bits(items.subspan(at, count), spare.subspan(at, count));
      });
}

}  // namespace

std::int64_t row_emitter::start_of(const std::uint64_t* row) const {
  return state_at_ == 0 ? start_us_ : static_cast<std::int64_t>(groups_.state(row)[0]);
}
std::int64_t row_emitter::end_of(const std::uint64_t* row) const {
  return state_at_ == 0 ? end_us_ : static_cast<std::int64_t>(groups_.state(row)[1]) + gap_us_;
}

// --- order ---------------------------------------------------------------------------------------

/// What rows are ordered by, as unsigned words, the first decides first: end, start, then the key's
/// bytes and zeros.
std::uint64_t row_emitter::order_word(const std::uint64_t* row, key_ref key,
                                      std::uint32_t number) const {
  if (number == 0) return static_cast<std::uint64_t>(end_of(row)) ^ sign_bit;
  if (number == 1) return static_cast<std::uint64_t>(start_of(row)) ^ sign_bit;
  return number - 2 < key.word_count() ? swap_bytes(key.words[number - 2]) : 0;
}

/// 64 bits of those words.
std::uint64_t row_emitter::order_bits(const std::uint64_t* row, std::uint32_t from) const {
  const key_ref key = groups_.key(row);
  const std::uint32_t shift = from % word_bits;
  const std::uint64_t high = order_word(row, key, from / word_bits) << shift;
  if (shift == 0) return high;
  return high | order_word(row, key, from / word_bits + 1) >> (word_bits - shift);
}

bool row_emitter::is_before(const std::uint64_t* a, const std::uint64_t* b) const {
  const key_ref key_a = groups_.key(a);
  const key_ref key_b = groups_.key(b);
  const std::uint32_t words = 2 + std::max(key_a.word_count(), key_b.word_count());
  for (std::uint32_t i = 0; i < words; ++i) {
    const std::uint64_t x = order_word(a, key_a, i);
    const std::uint64_t y = order_word(b, key_b, i);
    if (x != y) return x < y;
  }
  return false;
}

/// The first bit in which not all are the same. They differ: no key is the beginning of another
/// (group_key.h), and a group's sessions do not overlap.
std::uint32_t row_emitter::first_difference(std::span<const item> items) const {
  const std::uint64_t* const first = items.front().row;
  const key_ref first_key = groups_.key(first);
  std::uint32_t found = UINT32_MAX;
  for (const item& one : items.subspan(1)) {
    const key_ref key = groups_.key(one.row);
    std::uint64_t differs = 0;
    for (std::uint32_t i = 0; differs == 0; ++i) {
      if (i > found / word_bits) break;
      differs = order_word(first, first_key, i) ^ order_word(one.row, key, i);
      if (differs == 0) continue;
      found = std::min(found, i * word_bits + static_cast<std::uint32_t>(leading_zeros(differs)));
    }
  }
  return found;
}

/// By the 64 bits behind what all have in common; then those that are still equal. `spare`: as
/// many.
void row_emitter::sort(std::span<item> items, std::span<item> spare) const {
  if (items.size() < radix_items_min) {
    std::ranges::sort(items,
                      [this](const item& a, const item& b) { return is_before(a.row, b.row); });
    return;
  }
  const std::uint32_t from = first_difference(items);
  for (item& one : items)
    one.bits = order_bits(one.row, from);
  sort_by_bits(items, spare);
  for_runs(
      items, [](const item& a, const item& b) { return a.bits == b.bits; },
      [&](std::size_t at, std::size_t count) {
        sort(items.subspan(at, count), spare.subspan(at, count));
      });
}

void row_emitter::keep_top() {
  const top_plan& top = *program_.plan.top;
  if (items_.size() <= top.count) return;
  struct ranked {
    result_value rank;
    const std::uint64_t* row;
  };
  const field_type type = type_of(program_.plan.aggregates[top.aggregate], program_.plan);
  std::vector<ranked> all;
  all.reserve(items_.size());
  for (const item& one : items_) {
    result_value rank = finish_state(program_.results[top.aggregate], state_of(one.row));
    rank.bits = rank.is_null ? 0 : to_ordered(type, rank.bits);
    all.push_back({rank, one.row});
  }
  std::ranges::nth_element(all, all.begin() + top.count, [this](const ranked& a, const ranked& b) {
    if (a.rank.is_null != b.rank.is_null) return b.rank.is_null;
    if (a.rank.bits != b.rank.bits) return a.rank.bits > b.rank.bits;
    return is_before(a.row, b.row);
  });
  items_.resize(top.count);
  for (std::size_t i = 0; i < items_.size(); ++i)
    items_[i].row = all[i].row;
}

// --- rows ----------------------------------------------------------------------------------------

void row_emitter::append(const std::uint64_t* row, window_rows& out) const {
  const byte_view key = groups_.key(row).view();
  out.rows.push_back({.start_us = start_of(row),
                      .end_us = end_of(row),
                      .key_offset = out.keys.size(),
                      .key_bytes = static_cast<std::uint32_t>(key.size())});
  out.keys.insert(out.keys.end(), key.begin(), key.end());
  for (const result_part& part : program_.results) {
    out.values.push_back(finish_state(part, state_of(row)));
  }
}

void row_emitter::sort_all() {
  std::vector<item> spare;
  if (items_.size() >= radix_items_min) {
    reserve_huge(spare, items_.size());
    spare.resize(items_.size());
  }
  sort(items_, spare);
}

void row_emitter::append_all(std::span<const item> items, window_rows& out) const {
  make_room(out.rows, items.size());
  make_room(out.values, items.size() * program_.results.size());
  if (program_.key_bytes) make_room(out.keys, items.size() * *program_.key_bytes);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i + fetch_ahead < items.size()) __builtin_prefetch(items[i + fetch_ahead].row);
    append(items[i].row, out);
  }
}

void row_emitter::emit(std::uint64_t rows_max, window_rows& out) {
  if (program_.plan.top) keep_top();
  sort_all();
  append_all(std::span(items_).first(std::min<std::uint64_t>(items_.size(), rows_max)), out);
  items_.clear();
}

void row_emitter::emit_last(std::uint64_t rows_max, window_rows& out) {
  sort_all();
  append_all(std::span(items_).last(std::min<std::uint64_t>(items_.size(), rows_max)), out);
  items_.clear();
}

void append_rows(const window_rows& from, window_rows& to) {
  const std::uint64_t keys_before = to.keys.size();
  make_room(to.rows, from.rows.size());
  for (window_rows::row row : from.rows) {
    row.key_offset += keys_before;
    to.rows.push_back(row);
  }
  to.keys.insert(to.keys.end(), from.keys.begin(), from.keys.end());
  to.values.insert(to.values.end(), from.values.begin(), from.values.end());
}

}  // namespace millrace
