#pragma once
/// The continuous views of an appliance: folds what is durable, closes windows, keeps their rows,
/// and lets readers see them. One thread a stream that has views; every call here is thread-safe.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/error.h"
#include "gpu/fold.h"
#include "gpu/view_plan.h"
#include "shards/pipeline.h"

namespace millrace {

struct view_status {
  view_plan plan;
  std::string backend;  ///< "cpu (avx512)"
  std::string fault;    ///< empty, or why it does not go on or goes on elsewhere
  std::int64_t watermark_us = shard_clock::never;
  std::uint64_t behind_us = 0;     ///< arrival time of the newest durable record less that folded
  std::uint64_t behind_bytes = 0;  ///< of the log, from there on
  std::uint64_t folded_bytes = 0;  ///< of records, since start
  fold_counts counts;              ///< since the view was made
  std::uint64_t missing = 0;       ///< records that retention or damage took before it came to them
  fold_size size;
  std::uint64_t closed_rows = 0;   ///< ever
  std::uint64_t next_ordinal = 0;  ///< of the next emission
};

/// Rows that went out together, for good: the windows that one step of the watermark closed.
struct emission {
  std::uint64_t ordinal = 0;  ///< from 0, without gaps
  std::int64_t watermark_us = 0;
  std::shared_ptr<const window_rows> windows;
};

struct view_query {
  /// Windows that are open, as they were between two blocks of the log; else closed ones. What has
  /// closed and is not durable yet is among neither.
  bool open = false;
  std::int64_t from_us = INT64_MIN;  ///< windows that end after this,
  std::int64_t to_us = INT64_MAX;    ///< and start before this
  std::uint32_t rows_max = 1000;     ///< the newest ones
};

class view_service {
 public:
  struct options {
    std::string directory;  ///< of the views' stores
    std::string backend = "auto";
    std::vector<view_plan> plans;  ///< checked; names are unique, their streams exist
    std::uint64_t checkpoint_interval_us = 10'000'000;
    std::uint64_t checkpoint_bytes = 1ull << 30;  ///< of records folded, whichever comes first
    std::uint64_t rows_kept_bytes = 1ull << 30;   ///< a view's closed rows; the oldest go

    // What tests replace.
    using fold_maker = std::function<result<std::unique_ptr<window_fold>>(
        std::string_view backend, std::vector<view_plan> plans)>;
    fold_maker make_fold;  ///< none: millrace::make_fold
  };

  /// Restores checkpoints; start() makes the threads, which first replay the log from there. A view
  /// whose store cannot be opened, or whose stream is not there, says so in its `fault` and rests.
  static result<std::unique_ptr<view_service>> open(pipeline& streams, const options& wanted);
  virtual ~view_service() = default;
  virtual void start() = 0;
  /// Writes a checkpoint of each view and ends the threads.
  virtual void stop() = 0;

  virtual std::vector<view_status> list() const = 0;  ///< by name
  virtual result<view_status> describe(const std::string& name) const = 0;
  /// By window end, newest first.
  virtual result<window_rows> read(const std::string& name, const view_query& query) const = 0;
  virtual result<std::vector<late_record>> read_late(const std::string& name,
                                                     std::uint32_t rows_max) const = 0;
  /// The emissions from `ordinal` on that are still kept; waits up to `timeout_us` for one.
  virtual result<std::vector<emission>> wait(const std::string& name, std::uint64_t ordinal,
                                             std::uint64_t timeout_us) const = 0;
  virtual const counter_set& counters() const = 0;
};

}  // namespace millrace
