#pragma once
/// One view on the CPU: which records of a chunk are for it, and its windows.
#include <memory>

#include "gpu/fold.h"
#include "gpu/fold_batch.h"
#include "gpu/fold_memory.h"
#include "gpu/fold_program.h"
#include "gpu/key_column.h"
#include "gpu/window_store.h"

namespace millrace {

class view_fold {
 public:
  explicit view_fold(fold_program program);
  view_fold(const view_fold&) = delete;
  view_fold& operator=(const view_fold&) = delete;

  void fold(const fold_chunk& chunk, fold_job::view_part& part);
  void close(std::int64_t watermark_us, window_rows& out);
  void read_open(const open_range& range, window_rows& out) { store_->read_open(range, out); }
  fold_size size() const;
  void snapshot(std::vector<std::byte>& out) const { store_->snapshot(out); }
  /// After an error it is as empty as before.
  status restore(byte_view snapshot);

 private:
  /// Fills in `index` and `time_us` of the records that go on, and counts the others.
  void select(const fold_chunk& chunk, fold_job::view_part& part);
  void select_of_run(const fold_chunk& chunk, const fold_chunk::segment& segment,
                     fold_job::view_part& part);

  std::unique_ptr<window_store> make_store();

  const fold_program program_;
  memory_budget budget_;
  key_column keys_;
  bool is_taken_[fold_chunk_records];  ///< by the filter
  fold_batch batch_;
  std::unique_ptr<window_store> store_;
};

}  // namespace millrace
