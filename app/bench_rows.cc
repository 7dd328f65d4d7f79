#include "app/bench_rows.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/clock.h"
#include "gpu/fold_memory.h"
#include "ingest/zipf.h"

namespace millrace {
namespace {

constexpr std::size_t row_words = 8;
/// As group_table's: address and hash, at most five of eight taken.
constexpr std::size_t slot_words = 2;
constexpr std::uint32_t order_records = 1u << 22;
constexpr std::uint32_t aheads[] = {8, 16, 32, 64, 128};
constexpr std::uint32_t ahead_max = 128;
/// Into the second level, as the fold does (second_level_cache).
constexpr int locality = 2;

class random_rows {
 public:
  explicit random_rows(std::uint32_t rows)
      : slots_(std::bit_ceil(std::size_t{rows} * 8 / 5)),
        slot_block_(take_words(budget_, slots_ * slot_words)),
        row_words_(std::size_t{rows} * row_words),
        row_block_(take_words(budget_, row_words_)) {
    std::fill_n(slot_block_, slots_ * slot_words, 0);
    std::fill_n(row_block_, row_words_, 0);
    for (std::uint32_t i = 0; i < rows; ++i)
      slot_of(i)[1] = reinterpret_cast<std::uint64_t>(row(i));
    fast_random random(1);
    order_.resize(order_records + 2 * ahead_max);
    for (std::uint32_t& one : order_)
      one = static_cast<std::uint32_t>(random.below(rows));
  }
  ~random_rows() {
    give_words(budget_, row_block_, row_words_);
    give_words(budget_, slot_block_, slots_ * slot_words);
  }
  random_rows(const random_rows&) = delete;
  random_rows& operator=(const random_rows&) = delete;

  template <row_access Access>
  void change_all(std::uint32_t ahead) {
    for (std::uint32_t i = 0; i < order_records; ++i) {
      if constexpr (Access == row_access::by_slot) {
        __builtin_prefetch(slot_of(order_[i + 2 * ahead]), 0, locality);
        __builtin_prefetch(by_slot(order_[i + ahead]), 0, locality);
        change(by_slot(order_[i]), i);
      } else {
        __builtin_prefetch(row(order_[i + ahead]), 0, locality);
        change(row(order_[i]), i);
      }
    }
  }

 private:
  std::uint64_t* row(std::uint32_t number) { return row_block_ + row_words * number; }
  /// Each number has another slot, since the multiplier is odd.
  std::uint64_t* slot_of(std::uint32_t number) {
    return slot_block_ + slot_words * (number * 0x9e3779b1u & (slots_ - 1));
  }
  std::uint64_t* by_slot(std::uint32_t number) {
    return reinterpret_cast<std::uint64_t*>(slot_of(number)[1]);
  }
  static void change(std::uint64_t* row, std::uint64_t value) {
    ++row[2];
    row[4] += value;
    row[6] = std::min(row[6], value);
    row[7] = std::max(row[7], value);
  }

  memory_budget budget_ = unlimited_budget();
  std::size_t slots_;
  std::uint64_t* slot_block_;
  std::size_t row_words_;
  std::uint64_t* row_block_;
  std::vector<std::uint32_t> order_;
};

template <row_access Access>
double rate_of(random_rows& rows, std::uint32_t ahead, double seconds) {
  rows.change_all<Access>(ahead);
  const std::uint64_t began = thread_cpu_ns();
  std::uint64_t changed = 0;
  std::uint64_t used = 0;
  do {
    rows.change_all<Access>(ahead);
    changed += order_records;
    used = thread_cpu_ns() - began;
  } while (static_cast<double>(used) < seconds * 1e9);
  return static_cast<double>(changed) * 1e9 / static_cast<double>(used);
}

}  // namespace

double row_change_rate(std::uint32_t rows, row_access access, double seconds) {
  random_rows all(rows);
  const double each = seconds / std::size(aheads);
  double best = 0;
  for (const std::uint32_t ahead : aheads) {
    best = std::max(best, access == row_access::by_slot
                              ? rate_of<row_access::by_slot>(all, ahead, each)
                              : rate_of<row_access::direct>(all, ahead, each));
  }
  return best;
}

}  // namespace millrace
