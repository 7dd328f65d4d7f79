#pragma once
/// Views of one stream that are at the same place of its log, with the fold that they share: reads
/// block after block, folds it, closes windows, writes. A state machine of its worker's thread,
/// tested without threads and clocks.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "analytics/read_ahead.h"
#include "analytics/view_keeper.h"
#include "gpu/fold.h"
#include "shards/stream_log.h"

namespace millrace {

/// How often a view's state is written.
struct checkpoint_policy {
  std::uint64_t interval_us = 10'000'000;
  std::uint64_t bytes = 1ull << 30;  ///< of records folded, whichever comes first
};

/// Times of one round, read once.
struct lane_times {
  std::uint64_t monotonic_us = 0;
  std::uint64_t wall_us = 0;
};

class view_lane {
 public:
  /// What became of the lane.
  enum class state : std::uint8_t {
    running,
    fold_lost,  ///< the fold's state is gone: restore the keepers into another
    log_lost,   ///< the keepers' place is not in the log: start over
  };

  /// The keepers have been restored and are at one place; `fold` has their states.
  view_lane(std::shared_ptr<const stream_log> log, std::vector<view_keeper*> views,
            std::unique_ptr<window_fold> fold, const checkpoint_policy& policy);

  /// One round. Returns how much it did; 0: wait for news. `shards`, when there are some, is a new
  /// look at the stream's shards, and decisions are taken.
  int do_work(const lane_times& now, std::span<const known_shard> shards);
  /// Ends what is under way and writes a checkpoint of each view that is not replaying; such a one
  /// goes on from the checkpoint that it has.
  status finish(const lane_times& now);

  state now() const { return state_; }
  const std::string& why() const { return why_; }
  std::span<view_keeper* const> views() const { return views_; }
  window_fold& fold() { return *fold_; }
  /// Between two blocks, where the fold may be asked: all of each block until at() is in it, and
  /// nothing of the next. On a CPU always after a round; a device may take several for one block.
  bool is_between_blocks() const { return !folding_; }
  /// Everything durable has been folded.
  bool is_caught_up() const { return caught_up_; }
  /// Writing to a store fails, so nothing goes on.
  bool is_stalled() const { return !stalled_.empty(); }
  /// From now on stores are written by a thread of the lane's, while it goes on.
  void write_in_background() { in_background_ = true; }
  /// There is something of which it is not known yet whether it was written.
  bool is_writing() const;
  log_position at() const { return place_; }
  /// Lets readers see how far it is.
  void publish();

  /// Damaged ranges that were passed over since the last call.
  std::vector<damage> take_damage() { return std::exchange(damaged_, {}); }

 private:
  int finish_block();
  void read_next(const lane_times& now);
  void start_fold();
  void take_decisions(const lane_times& now);
  void close_passed(std::size_t view);
  /// What is collected, when it is time; false: it could not be written.
  bool write(const lane_times& now, bool all);
  bool checkpoint_due(const lane_times& now) const;
  bool write(view_keeper& one, bool all);
  status write_checkpoints(const lane_times& now, bool in_background);
  void stall(const error& why, const lane_times& now);
  void lose(state what, const error& why);

  const std::shared_ptr<const stream_log> log_;
  read_ahead blocks_;
  const std::vector<view_keeper*> views_;
  const std::unique_ptr<window_fold> fold_;
  const checkpoint_policy policy_;
  state state_ = state::running;
  std::string why_;

  log_position place_;              ///< of the block that is next, as far as is known
  std::optional<log_block> block_;  ///< read; being folded when folding_
  log_position after_block_;
  bool folding_ = false;
  fold_job job_;
  std::vector<fold_run> runs_;
  std::vector<fold_job::view_part> parts_;

  std::vector<known_shard> look_;  ///< at the shards, not yet decided upon
  bool caught_up_ = false;
  std::optional<std::uint64_t> caught_up_us_;  ///< wall time when it first was
  std::uint64_t newest_us_ = 0;
  std::uint64_t folded_us_ = 0;
  std::uint64_t bytes_since_checkpoint_ = 0;
  std::optional<std::uint64_t> checkpoint_us_;
  std::string stalled_;
  std::uint64_t retry_us_ = 0;
  std::uint32_t read_failures_ = 0;
  std::vector<damage> damaged_;
  bool in_background_ = false;
  store_writer writer_;  ///< the last one: its end comes first
};

}  // namespace millrace
