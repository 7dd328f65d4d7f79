#pragma once
/// All views of one stream: their lanes, what is known of the stream's shards, and the thread that
/// drives them. Each call of the readers is thread-safe.
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "analytics/view_keeper.h"
#include "analytics/view_lane.h"
#include "analytics/view_service.h"
#include "base/counters.h"
#include "shards/pipeline.h"

namespace millrace {

/// Counters that several workers write.
struct shared_counters {
  std::mutex mutex;
  counter_set set;
};

class stream_worker {
 public:
  struct settings {
    std::string stream;
    std::string backend;
    checkpoint_policy checkpoints;
    view_service::options::fold_maker make_fold;
  };

  /// The keepers have adopted their stores. Restores them.
  static result<std::unique_ptr<stream_worker>> open(
      pipeline& streams, settings wanted, std::vector<std::unique_ptr<view_keeper>> views,
      shared_counters& counters);
  ~stream_worker();

  void start();
  /// Ends the thread and writes a checkpoint of each view. Without it, it is as after a crash.
  void stop();
  /// One round over all lanes; returns how much it did. The thread's, or the test's instead of one.
  int do_work(const lane_times& now);

  /// The open windows of a view, ascending, as they are between two blocks: with every record of
  /// those before, and none of the next one. Waits for the worker to come to it, and for the block
  /// that is being folded. `timed_out` where that takes too long, `unavailable` where the view is
  /// in no lane now, or the worker ends.
  result<window_rows> read_open(const view_keeper& view, const open_range& range);

 private:
  /// A reader that waits for open windows.
  struct open_request {
    const view_keeper* view;
    open_range range;
    std::weak_ptr<std::promise<result<window_rows>>> to;  ///< none: it has given up
  };

  stream_worker(pipeline& streams, settings wanted, std::vector<std::unique_ptr<view_keeper>> views,
                shared_counters& counters);
  status make_lanes(std::vector<view_keeper*> views);
  status restore_all(std::span<view_keeper* const> views,
                     std::vector<std::vector<std::byte>>& folds);
  status add_lane(const std::vector<view_keeper*>& views,
                  const std::vector<std::vector<std::byte>>& folds);
  void run();
  void take_requests();
  bool answer(const open_request& one, std::promise<result<window_rows>>& to);
  bool look_at_shards(const lane_times& now);
  void mend(const lane_times& now);
  void join_lanes(const lane_times& now);
  void publish(const lane_times& now, bool at_once);
  void say(std::span<view_keeper* const> views, const std::string& fault);
  void count();

  pipeline& streams_;
  settings settings_;
  shared_counters& counters_;
  std::vector<std::unique_ptr<view_keeper>> views_;
  std::shared_ptr<const stream_log> log_;
  std::uint32_t stream_id_ = 0;
  std::vector<std::unique_ptr<view_lane>> lanes_;
  std::vector<view_keeper*> waiting_;  ///< in no lane: to be tried again
  std::uint64_t retry_us_ = 0;

  std::vector<known_shard> shards_;
  std::uint64_t look_us_ = 0;     ///< when to look at the shards again
  std::uint64_t publish_us_ = 0;  ///< when to publish again
  std::uint64_t join_us_ = 0;
  bool deleted_ = false;

  std::mutex mutex_;
  std::vector<open_request> requests_;
  bool takes_requests_ = false;
  bool in_background_ = false;  ///< stores are written while folding goes on
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace millrace
