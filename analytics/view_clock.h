#pragma once
/// Event time in one view: a clock for each shard, and the watermark that follows from them. The
/// rules are in docs/decisions/0002-windows.md. Reads no clock of its own and knows no threads:
/// equal calls give equal watermarks.
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "gpu/fold.h"

namespace millrace {

/// A shard as the catalog and the log have it now.
struct known_shard {
  shard_index shard{};
  std::optional<shard_index> parent{};
  std::optional<shard_index> adjacent_parent{};
  bool is_open = true;
  record_index horizon{};  ///< oldest record still there, and one past the newest durable one
  record_index end{};
};

/// What no record tells: taken once, kept in the view's journal, and repeated from there.
struct clock_decision {
  enum class kind : std::uint32_t {
    enter,  ///< the shard counts from now on, with its parents' newest time
    idle,   ///< it had nothing for long: it does not count until it has
    close,  ///< it was split or merged, and all its records are folded
    wall,   ///< no shard counts, and the watermark goes on to `time_us`
  };
  kind what{};
  shard_index shard{};
  std::int64_t time_us = shard_clock::never;
  std::uint64_t active_us = 0;  ///< enter: when its silence starts; 0: with the next block
  record_index next{};          ///< enter: its first record that there is

  friend bool operator==(const clock_decision&, const clock_decision&) = default;
};

class view_clock {
 public:
  enum class phase : std::uint32_t { counted, idle, closed };
  struct shard_state {
    shard_index shard{};
    phase now{};
    record_index next{};  ///< the record to be folded next
    shard_clock clock;
    std::uint64_t active_us = 0;  ///< arrival of its newest record
  };
  /// All of it, for a checkpoint.
  struct state {
    std::int64_t watermark_us = shard_clock::never;
    std::int64_t newest_us = shard_clock::never;  ///< of all shards ever
    std::uint64_t arrival_us = 0;                 ///< of the newest block
    std::vector<shard_state> shards;              ///< counted ones first, longest silent first
  };

  view_clock(std::int64_t delay_us, std::int64_t idle_us) : delay_us_(delay_us), idle_us_(idle_us) {}

  std::int64_t watermark_us() const { return watermark_us_; }

  // --- a block: begin_run and end_run for each of its runs, then end_block ----------------------

  /// The clock to fold the shard's run with. A shard that is idle, or new, counts again.
  shard_clock begin_run(shard_index shard);
  /// The clock as the run left it. Returns how many records are missing before `first`.
  std::uint64_t end_run(shard_index shard, record_index first, std::uint32_t record_count,
                        const shard_clock& after, std::uint64_t arrival_us);
  /// Takes out the shards whose silence became too long by the block's arrival, and moves the
  /// watermark on.
  void end_block(std::uint64_t arrival_us);

  // --- decisions ------------------------------------------------------------------------------

  /// What is to be decided now, after the block that was folded last. `caught_up_us` is when the
  /// worker first had folded everything durable; none: it has not, and no silence is judged by the
  /// wall's clock.
  std::vector<clock_decision> decide(std::span<const known_shard> shards, std::uint64_t wall_us,
                                     std::optional<std::uint64_t> caught_up_us) const;
  /// Where the watermark may go while no shard counts.
  std::optional<std::int64_t> wall_watermark_us(std::uint64_t wall_us,
                                                std::uint64_t caught_up_us) const;
  void apply(std::span<const clock_decision> decisions);

  /// Null when it never had a record and never entered.
  const shard_state* find(shard_index shard) const;
  /// Forgets closed shards that the catalog no longer has.
  void forget_closed(std::span<const known_shard> shards);
  state save() const;
  void restore(const state& from);

 private:
  using list = std::list<shard_state>;
  list::iterator add(shard_index shard);
  void set_phase(list::iterator one, phase now);
  std::int64_t watermark_of(const shard_state& one) const;
  void raise();

  const std::int64_t delay_us_;
  const std::int64_t idle_us_;
  std::int64_t watermark_us_ = shard_clock::never;
  std::int64_t newest_us_ = shard_clock::never;
  std::uint64_t arrival_us_ = 0;
  list counted_;  ///< longest silent first
  list others_;
  std::unordered_map<shard_index, list::iterator> by_shard_;
  std::int64_t least_us_ = shard_clock::never;  ///< over counted_, as of the last look
  bool look_again_ = true;                      ///< the least may have changed
};

}  // namespace millrace
