#pragma once
/// The groups of a view with tumbling or hopping windows, on the CPU: one table a pane of one hop.
#include <map>
#include <memory>

#include "gpu/fold.h"
#include "gpu/fold_program.h"
#include "gpu/group_table.h"
#include "gpu/window_store.h"

namespace millrace {

class pane_store final : public window_store {
 public:
  pane_store(const fold_program& program, memory_budget& budget);

  std::uint32_t fold(fold_batch& batch) override;
  void close(std::int64_t watermark_us, window_rows& out) override;
  void read_open(std::uint32_t rows_max, window_rows& out) override;
  std::uint64_t windows() const override { return panes_.size(); }

 private:
  struct pane {
    pane(const fold_program& program, memory_budget& budget)
        : groups(program.key_bytes, program.empty, budget) {}
    group_table groups;
  };

  pane* pane_of(std::int64_t start_us);
  /// The rows of the window that ends there, at most `rows_max`, into `out`.
  void emit(std::int64_t end_us, std::uint64_t rows_max, window_rows& out);
  /// The end of the first window that is open and not empty.
  std::int64_t next_end() const;

  const fold_program& program_;
  const window_plan& window_;
  memory_budget& budget_;
  std::map<std::int64_t, std::unique_ptr<pane>> panes_;
  std::int64_t closed_until_us_;  ///< windows that end at or before it are out
  std::uint64_t expected_groups_ = 0;
};

}  // namespace millrace
