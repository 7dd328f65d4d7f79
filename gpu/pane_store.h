#pragma once
/// The groups of a view with tumbling or hopping windows, on the CPU: one table a pane of one hop.
#include <map>
#include <memory>
#include <vector>

#include "gpu/fold.h"
#include "gpu/fold_program.h"
#include "gpu/group_table.h"
#include "gpu/sketch_arena.h"
#include "gpu/window_store.h"

namespace millrace {

class pane_store final : public window_store {
 public:
  pane_store(const fold_program& program, memory_budget& budget);

  slot_lines lines_at(std::int64_t time_us) const override;
  std::uint32_t fold(fold_batch& batch) override;
  void close(std::int64_t watermark_us, window_rows& out) override;
  void read_open(const open_range& range, window_rows& out) override;
  std::uint64_t windows() const override { return panes_.size(); }
  void snapshot(std::vector<std::byte>& out) const override;
  status restore(snapshot_reader& from) override;

  bool has_pane(std::int64_t start_us) const { return panes_.contains(start_us); }
  /// Adds a group's state from elsewhere to what is there of the group, whatever the plan's limits
  /// say; `sketches` as in a snapshot_entry.
  void absorb(std::int64_t start_us, key_ref key, std::uint64_t hash, const std::uint64_t* state,
              std::span<const std::vector<sketch_entry>> sketches);

 private:
  struct pane {
    pane(const fold_program& program, memory_budget& budget)
        : groups(program.key_bytes, program.empty, budget), sketches(budget, program.secret) {}
    group_table groups;
    sketch_arena sketches;
  };

  /// Records [from, end) of a batch, and their pane; null: there is none for them.
  struct pane_run {
    pane* in;
    std::uint32_t from;
    std::uint32_t end;
  };

  pane* pane_of(std::int64_t start_us);
  void find_panes(const fold_batch& batch);
  bool find_states(const pane_run& run, fold_batch& batch);
  std::uint32_t leave_out(fold_batch& batch, sketch_arena** sketches) const;
  /// The rows of the window that ends there, at most `rows_max`, into `out`.
  void emit(std::int64_t end_us, std::uint64_t rows_max, window_rows& out);
  void merge_pane(const pane& from, pane& into) const;
  /// The end of the first window that is open and not empty.
  std::int64_t next_end() const;

  const fold_program& program_;
  const window_plan& window_;
  memory_budget& budget_;
  std::map<std::int64_t, std::unique_ptr<pane>> panes_;
  std::int64_t closed_until_us_;  ///< windows that end at or before it are out
  std::uint64_t expected_groups_ = 0;
  std::vector<pane_run> runs_;  ///< of the batch at hand
};

}  // namespace millrace
