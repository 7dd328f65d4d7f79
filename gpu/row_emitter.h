#pragma once
/// Groups of closed or open windows into rows of a result: sorted, cut to the top ones, finished.
#include <cstdint>
#include <span>
#include <vector>

#include "gpu/fold.h"
#include "gpu/fold_memory.h"
#include "gpu/fold_program.h"
#include "gpu/group_table.h"

namespace millrace {

class row_emitter {
 public:
  /// Of one pane's groups: all of one window.
  row_emitter(const fold_program& program, const group_table& groups, std::int64_t start_us,
              std::int64_t end_us)
      : program_(program), groups_(groups), start_us_(start_us), end_us_(end_us) {}
  /// Of sessions: a group's state is behind its window's start and last record, `state_at` words
  /// from the row's.
  row_emitter(const fold_program& program, const group_table& sessions, std::int64_t gap_us,
              std::uint32_t state_at)
      : program_(program), groups_(sessions), gap_us_(gap_us), state_at_(state_at) {}

  void reserve(std::uint64_t groups) { reserve_huge(items_, groups); }
  void add(const std::uint64_t* row) { items_.push_back({0, row}); }
  /// Appends what was added, at most `rows_max` rows, to `out`. Of one window where the plan asks
  /// for its top rows.
  void emit(std::uint64_t rows_max, window_rows& out);
  /// The same of the last rows; not for top rows.
  void emit_last(std::uint64_t rows_max, window_rows& out);

 private:
  /// A row by some of the bits that it is ordered by.
  struct item {
    std::uint64_t bits;
    const std::uint64_t* row;
  };

  std::int64_t start_of(const std::uint64_t* row) const;
  std::int64_t end_of(const std::uint64_t* row) const;
  const std::uint64_t* state_of(const std::uint64_t* row) const {
    return groups_.state(row) + state_at_;
  }
  std::uint64_t order_word(const std::uint64_t* row, key_ref key, std::uint32_t number) const;
  std::uint64_t order_bits(const std::uint64_t* row, std::uint32_t from) const;
  bool is_before(const std::uint64_t* a, const std::uint64_t* b) const;
  std::uint32_t first_difference(std::span<const item> items) const;
  void sort(std::span<item> items, std::span<item> spare) const;
  void sort_all();
  void keep_top();
  void append_all(std::span<const item> items, window_rows& out) const;
  void append(const std::uint64_t* row, window_rows& out) const;

  const fold_program& program_;
  const group_table& groups_;
  std::int64_t start_us_ = 0;
  std::int64_t end_us_ = 0;
  std::int64_t gap_us_ = 0;
  std::uint32_t state_at_ = 0;  ///< 0: of a pane
  std::vector<item> items_;
};

/// Appends all rows of `from`.
void append_rows(const window_rows& from, window_rows& to);

}  // namespace millrace
