#pragma once
/// One view between its stream's fold and its store: clock, counts, journal, ordinals, and what is
/// collected for the next write. One thread; what readers see is in feed().
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analytics/store_writer.h"
#include "analytics/view_clock.h"
#include "analytics/view_feed.h"
#include "analytics/view_store.h"
#include "gpu/fold.h"
#include "gpu/view_plan.h"
#include "shards/log_block.h"

namespace millrace {

/// What keepers count; the owner moves it into the counters.
struct view_tallies {
  std::uint64_t emissions = 0;
  std::uint64_t rows = 0;
  std::uint64_t rows_bytes_dropped = 0;
  std::uint64_t missing = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t store_errors = 0;
  std::uint64_t differences = 0;  ///< rows computed again that were not those in the store
  fold_counts counts;
};

class view_keeper {
 public:
  view_keeper(view_plan plan, std::unique_ptr<view_store> store, std::uint64_t rows_kept_bytes);

  const view_plan& plan() const { return plan_; }
  const view_store& store() const { return *store_; }
  view_feed& feed() { return feed_; }
  const view_feed& feed() const { return feed_; }
  view_tallies& tallies() { return tallies_; }

  /// Takes over what the store has, if it is of this plan and this stream; else drops it and says
  /// so in the notice. Then restore().
  status adopt(std::uint32_t stream);
  /// Back to the last checkpoint, or the start; what was collected since is dropped, for it comes
  /// again. Returns the fold's state.
  result<std::vector<std::byte>> restore();
  /// Drops all results: they are of another log.
  status start_over(const std::string& why);

  log_position at() const { return at_; }
  const view_clock& clock() const { return clock_; }

  // --- a block ---
  void begin_block(std::span<const block_run> runs, fold_job::view_part& part);
  void end_block(const log_block& block, log_position next, fold_job::view_part& part);

  // --- decisions: true when one was taken; then look at must_close() before the next -----------
  bool is_replaying() const { return !journal_.empty(); }
  /// The next batch of the journal, if its place is not after `place`.
  bool take_from_journal(log_position place);
  /// Only when nothing is to be repeated any more. `place`: what follows comes after it.
  bool decide(log_position place, std::span<const known_shard> shards, std::uint64_t wall_us,
              std::optional<std::uint64_t> caught_up_us, const fold_size& size);

  /// Whether the watermark has passed the end of a window that may be there.
  bool must_close(const fold_size& size) const;
  /// Closes what the watermark has passed.
  status close(window_fold& fold, std::uint32_t view);

  // --- the store ---
  /// For how long the next write is collected: its times are those of start_round().
  void start_round(std::uint64_t monotonic_us) { now_us_ = monotonic_us; }
  bool has_pending() const { return !pending_.empty(); }
  std::uint64_t pending_bytes() const { return pending_bytes_; }
  std::uint64_t pending_since_us() const { return pending_since_us_; }
  bool changed_since_checkpoint() const { return changed_; }
  /// Writes what is collected, together with a checkpoint if there is the fold's state, and then
  /// shows it to readers. After an error all of it is still there, but for the checkpoint.
  status write(std::optional<std::vector<std::byte>> fold);
  /// The same by another thread; what is collected meanwhile waits. Not while is_writing().
  void start_write(store_writer& by, std::optional<std::vector<std::byte>> fold);
  bool is_writing() const { return write_.valid(); }
  /// Takes what came of it, if it is through or `wait`.
  status end_write(bool wait);

  // --- what readers see ---
  void set_notice(std::string notice) { notice_ = std::move(notice); }
  /// `fault`: why it does not go on now; else the notice shows.
  void publish(const std::string& backend, const std::string& fault, const fold_size& size,
               std::uint64_t behind_us, std::uint64_t behind_bytes);

 private:
  bool passes_end(std::int64_t from_us, std::int64_t to_us) const;
  void emit(std::shared_ptr<window_rows> rows);
  void compare(std::uint64_t ordinal, const window_rows& rows);
  void note_pending(std::uint64_t bytes);
  void prepare_write(std::optional<std::vector<std::byte>> fold);
  status take_written(result<std::uint64_t> written);
  void put_back();

  const view_plan plan_;
  const std::string definition_;
  const std::unique_ptr<view_store> store_;
  const std::uint64_t rows_kept_bytes_;
  view_feed feed_;
  view_tallies tallies_;

  std::uint32_t stream_ = 0;
  log_position at_;
  view_clock clock_;
  std::vector<shard_clock> clocks_;  ///< of the block's runs
  fold_counts counts_;
  std::uint64_t missing_ = 0;
  std::uint64_t next_ordinal_ = 0;
  std::uint64_t closed_rows_ = 0;
  std::uint64_t late_ordinal_ = 0;
  std::int64_t closed_to_us_ = shard_clock::never;

  std::deque<journal_batch> journal_;  ///< to be repeated
  store_write pending_;
  std::uint64_t pending_bytes_ = 0;
  std::uint64_t pending_since_us_ = 0;
  bool changed_ = false;
  std::uint64_t stored_ordinal_ = 0;  ///< emissions below it are in the store
  // What is being written.
  store_write writing_;
  std::uint64_t writing_bytes_ = 0;
  std::uint64_t writing_since_us_ = 0;
  std::optional<view_checkpoint> writing_checkpoint_;
  std::future<result<std::uint64_t>> write_;
  std::uint64_t now_us_ = 0;
  std::uint64_t folded_bytes_ = 0;
  std::string notice_;
};

}  // namespace millrace
