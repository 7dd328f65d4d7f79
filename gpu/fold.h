#pragma once
/// The second half of the compute contract: folding the records of durable blocks into the windows
/// of a stream's views, on one backend. The state lives behind this; results carry late records and
/// closed windows only. docs/decisions/0002-windows.md has the rules that make it deterministic.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/types.h"
#include "gpu/view_plan.h"

namespace millrace {

/// What a backend kept of a batch on its device when it routed it. Opaque; null on the CPU.
class device_batch;

/// The records that one block has of one shard: contiguous, in record order.
struct fold_run {
  shard_index shard{};
  record_index first{};
  std::uint32_t record_count = 0;
  byte_view bytes;
};

/// How far a shard's time has come in one view; the caller keeps one a shard.
struct shard_clock {
  static constexpr std::int64_t never = INT64_MIN;
  std::int64_t newest_us = never;  ///< greatest event time so far that was not too far ahead
  std::int64_t floor_us = never;   ///< watermark given to it while it was idle
};

/// What a block did to one view.
struct fold_counts {
  std::uint64_t folded = 0;    ///< records that went into a window
  std::uint64_t filtered = 0;  ///< not taken by the filter
  std::uint64_t late = 0;      ///< below their shard's watermark
  std::uint64_t no_time = 0;   ///< the time field is null
  std::uint64_t future = 0;    ///< time further ahead of arrival than future_max: folded, but
                               ///< moved no watermark
  std::uint64_t nulls = 0;     ///< fields of the wrong type
  std::uint64_t left_out = 0;  ///< records for whose group or window there was no room
};

/// A late record: its event time and where it is in the log.
struct late_record {
  std::int64_t time_us = 0;
  std::int64_t watermark_us = 0;  ///< that it was below
  shard_index shard{};
  record_index number{};
};

/// One block for all views of the stream. The caller owns everything and leaves it alone from
/// submit() until poll() has said true.
struct fold_job {
  std::span<const fold_run> runs;
  std::uint64_t arrival_us = 0;
  std::shared_ptr<const device_batch> device;  ///< the same records, already there; may be null

  struct view_part {
    std::span<shard_clock> clocks;  ///< in and out, one a run
    fold_counts counts;             ///< out
    std::vector<late_record> late;  ///< out: in run order, then record order, the first
                                    ///< limits::late_records_max of the block
  };
  std::span<view_part> views;  ///< one a view of the fold
};

/// A value of a result.
struct result_value {
  std::uint64_t bits = 0;  ///< int64, double, µs or bool
  bool is_null = true;
};

/// Windows as rows, flat. Rows are ordered by (end, start, group key).
struct window_rows {
  struct row {
    std::int64_t start_us = 0;
    std::int64_t end_us = 0;       ///< exclusive
    std::uint64_t key_offset = 0;  ///< in `keys`, which may pass 4 GiB
    std::uint32_t key_bytes = 0;
  };
  std::vector<row> rows;
  std::vector<std::byte> keys;       ///< group_key.h's encoding
  std::vector<result_value> values;  ///< view_plan::aggregates a row

  byte_view key(const row& of) const {
    return byte_view(keys).subspan(of.key_offset, of.key_bytes);
  }
};

/// Which open windows are read: those that end after `from_us` and start before `to_us`. Where they
/// have more than `rows_max` rows, it is the newest windows, of the oldest of these the first rows.
struct open_range {
  std::int64_t from_us = INT64_MIN;
  std::int64_t to_us = INT64_MAX;
  std::uint32_t rows_max = UINT32_MAX;

  bool has(std::int64_t start_us, std::int64_t end_us) const {
    return end_us > from_us && start_us < to_us;
  }
};

/// How large one view's state is now.
struct fold_size {
  std::uint64_t groups = 0;
  std::uint64_t windows = 0;  ///< open; panes for hopping ones
  std::uint64_t bytes = 0;    ///< of them, and what the last closed window left to the next
};

/// One thread; views are numbered as the plans were given.
class window_fold {
 public:
  virtual ~window_fold() = default;

  /// Starts folding. False: as many jobs as it can hold are in flight; poll one first. An error of
  /// poll() means that the state is lost (a device failed): make another fold and restore it.
  [[nodiscard]] virtual bool submit(fold_job& job) = 0;
  /// True once, when the job is done. Jobs end in the order of submission.
  [[nodiscard]] virtual result<bool> poll(fold_job& job) = 0;

  // Only while no job is in flight:

  /// Takes out every window that ends at or before `watermark_us`, final, its top rows only where
  /// the plan says so, appended to `out`.
  virtual status close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) = 0;
  /// Windows that are open, with all records of the jobs that are done, appended to `out` in their
  /// order. A window stays open until close() has passed its end.
  virtual status read_open(std::uint32_t view, const open_range& range, window_rows& out) = 0;
  virtual fold_size size(std::uint32_t view) const = 0;
  /// One view's whole state, the same bytes' meaning on every backend; and back, into an empty one.
  virtual status snapshot(std::uint32_t view, std::vector<std::byte>& out) = 0;
  virtual status restore(std::uint32_t view, byte_view snapshot) = 0;
  virtual std::string describe() const = 0;
};

/// The CPU's. Plans have been checked and are of one stream; the reference of all others.
result<std::unique_ptr<window_fold>> make_cpu_fold(std::vector<view_plan> plans);
/// The same on several threads, the caller's one of them. The results do not depend on their
/// number. describe() ends with `remark`.
result<std::unique_ptr<window_fold>> make_cpu_fold_on(unsigned threads,
                                                      std::vector<view_plan> plans,
                                                      std::string remark = "");
/// `choice` as of make_backend(): "auto", "cpu" or "cuda". The last two take the devices of this
/// machine (cuda_fold.h), or the CPU where there are none; describe() says why.
result<std::unique_ptr<window_fold>> make_fold(std::string_view choice,
                                               std::vector<view_plan> plans);

}  // namespace millrace
