#pragma once
/// Folding without a GPU: submit() does the work, on the calling thread and on others that help,
/// poll() hands it out. Views whose records have the same layout share one pass of extraction over
/// them.
///
/// A pass is cut into pieces. Whoever is free takes the next piece, extracts its fields, and then
/// brings it to one view after another, to each when the piece before it has been there: so a view
/// sees the records in their order and has one thread at a time, while others extract.
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/extract.h"
#include "gpu/fold.h"
#include "gpu/fold_batch.h"
#include "gpu/fold_team.h"
#include "gpu/view_fold.h"

namespace millrace {

class cpu_fold final : public window_fold {
 public:
  static result<std::unique_ptr<window_fold>> make(std::vector<view_plan> plans, unsigned threads,
                                                   std::string remark);

  bool submit(fold_job& job) override;
  result<bool> poll(fold_job& job) override;
  status close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) override;
  status read_open(std::uint32_t view, const open_range& range, window_rows& out) override;
  fold_size size(std::uint32_t view) const override;
  status snapshot(std::uint32_t view, std::vector<std::byte>& out) override;
  status restore(std::uint32_t view, byte_view snapshot) override;
  std::string describe() const override { return "cpu" + remark_; }

 private:
  /// Views whose fields come out of one pass.
  struct pass {
    extractor fields;
    std::vector<std::uint32_t> views;
  };
  /// How far the records of a job have been taken, in one pass.
  struct cursor {
    std::uint32_t run = 0;
    std::uint32_t taken = 0;        ///< records of that run
    const std::byte* at = nullptr;  ///< the next one; null: the run's first
    std::uint32_t pieces = 0;
  };
  using piece = std::vector<fold_chunk>;

  cpu_fold(unsigned threads, std::string remark) : remark_(std::move(remark)), team_(threads) {}
  void fold(fold_job& job, const pass& with);
  void fold_pieces(fold_job& job, const pass& with, piece& own);
  bool take_piece(const fold_job& job, piece& into, std::uint32_t& number);
  bool take_chunk(const fold_job& job, fold_chunk& into);

  const std::string remark_;  ///< ends describe()
  std::vector<std::unique_ptr<view_fold>> views_;
  std::vector<pass> passes_;
  std::vector<std::atomic<std::uint32_t>> turns_;  ///< of each view: pieces of the pass folded
  std::vector<piece> pieces_;                      ///< of each member of the team
  std::mutex mutex_;                               ///< of cursor_
  cursor cursor_;
  const fold_job* done_ = nullptr;  ///< submitted, not yet polled
  fold_team team_;
};

}  // namespace millrace
