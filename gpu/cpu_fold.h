#pragma once
/// Folding without a GPU, on the calling thread: submit() does the work, poll() hands it out. Views
/// whose records have the same layout share one pass of extraction over them.
#include <memory>
#include <vector>

#include "gpu/extract.h"
#include "gpu/fold.h"
#include "gpu/fold_batch.h"
#include "gpu/view_fold.h"

namespace millrace {

class cpu_fold final : public window_fold {
 public:
  static result<std::unique_ptr<window_fold>> make(std::vector<view_plan> plans);

  bool submit(fold_job& job) override;
  result<bool> poll(fold_job& job) override;
  status close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) override;
  status read_open(std::uint32_t view, std::uint32_t rows_max, window_rows& out) override;
  fold_size size(std::uint32_t view) const override;
  status snapshot(std::uint32_t view, std::vector<std::byte>& out) override;
  status restore(std::uint32_t view, byte_view snapshot) override;
  std::string describe() const override { return "cpu"; }

 private:
  /// Views whose fields come out of one pass.
  struct pass {
    extractor fields;
    std::vector<std::uint32_t> views;
    fold_chunk chunk;
  };

  cpu_fold() = default;
  void fold(fold_job& job, pass& with);
  void fold_filled(fold_job& job, pass& with);

  std::vector<std::unique_ptr<view_fold>> views_;
  std::vector<pass> passes_;
  const fold_job* done_ = nullptr;  ///< submitted, not yet polled
};

}  // namespace millrace
