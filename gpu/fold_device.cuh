#pragma once
/// Folding on one device: one block at a time, from its bytes on the host or from what routing left
/// on the device; all of a stream's views that have panes.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpu/cuda_fold.h"
#include "gpu/device_batch.cuh"
#include "gpu/device_state.cuh"
#include "gpu/extract.h"
#include "gpu/fold_kernels.cuh"

namespace millrace {

/// One layout's extraction, and the views that read it.
struct fold_pass {
  extractor fields;
  std::vector<std::uint32_t> views;  ///< of the device's
};

/// What a view may still take on this device, given what it has elsewhere.
struct view_room {
  std::uint64_t groups_max = 0;
  std::uint32_t panes_max = 0;
  std::int64_t closed_until_us = 0;
};

// What a view's pinned report has behind its device_counts.
inline constexpr std::size_t report_counters_at = sizeof(device_counts);
inline constexpr std::size_t report_newest_at = report_counters_at + sizeof(table_counters);

class fold_device {
 public:
  /// `programs` and `passes` outlive it and stay where they are.
  static result<fold_device> create(int device, std::span<const fold_program* const> programs,
                                    std::span<const fold_pass> passes,
                                    const cuda_fold_options& options);

  /// An error says how it is too large.
  status check_size(const fold_job& job) const;
  /// Routing has left the block's records here.
  bool has(const fold_job& job) const;
  /// Starts the block; `parts[v]` is what view v has of the job. An error: the state is lost.
  status start(const fold_job& job, std::span<fold_job::view_part* const> parts,
               std::span<const view_room> rooms);
  /// True when the block is folded and `parts` say what it did. False: not yet.
  result<bool> finish(const fold_job& job, std::span<fold_job::view_part* const> parts);

  device_state& state(std::size_t of) { return views_[of].state; }
  const device_state& state(std::size_t of) const { return views_[of].state; }
  const device_stage& stage() const { return stage_; }
  /// Makes the device the current one.
  status select() const;
  int device() const { return stage_.device; }
  const std::string& name() const { return name_; }

 private:
  struct view {
    const fold_program* program = nullptr;
    fold_tables tables;
    device_state state;
    device_memory clocks;
    device_memory newest;
    device_memory counts;
    device_memory late;
    pinned_memory clocks_up;
    pinned_memory report;  ///< device_counts, table_counters, then the newest times of runs
  };
  struct pass {
    const fold_pass* plan = nullptr;
    device_memory tables;
    device_memory columns;
  };
  /// What finish() waits for.
  enum class waiting : std::uint8_t { nothing, block, details };

  status make_view(const fold_program& program);
  status make_pass(const fold_pass& plan);
  status send_clocks(const fold_job& job, std::span<fold_job::view_part* const> parts);
  result<fold_records> send_records(const fold_job& job);
  status send_runs(const fold_job& job);
  status fold_view(const view& one, const fold_records& block, const device_columns& columns,
                   const view_room& room);
  void take_report(const fold_job& job, view& one, fold_job::view_part& part);
  /// The next view with late records or new panes to bring down; false: there is none.
  result<bool> ask_details();
  void take_details(const fold_job& job, fold_job::view_part& part);

  cuda_fold_options options_;
  std::string name_;
  device_stage stage_;
  cuda_event done_;
  pinned_memory input_;    ///< offsets, then records
  device_memory block_;    ///< the same
  pinned_memory runs_up_;  ///< device_run of each, then runs of ordinals
  device_memory runs_;
  // Of the view that is being folded:
  device_memory times_;
  device_memory found_rows_;
  device_memory tile_best_;
  device_memory tile_heads_;
  pinned_memory details_;  ///< late records and new panes of one view
  std::vector<view> views_;
  std::vector<pass> passes_;
  waiting waiting_ = waiting::nothing;
  std::size_t detail_view_ = 0;
};

}  // namespace millrace
