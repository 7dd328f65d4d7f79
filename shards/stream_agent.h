#pragma once
/// One stream's sequencer: takes the batches of its port in order, has them admitted, routed and
/// appended, and hands them back when they are durable.
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "gpu/backend.h"
#include "shards/pipeline.h"
#include "shards/route_slot.h"
#include "shards/stream_log.h"
#include "shards/stream_port.h"

namespace millrace {

/// What the streams of a pipeline share on the agent's thread.
struct agent_tools {
  backend& compute;
  counter_set& counters;
  std::vector<route_slot*>& free_slots;
  bool keep_on_device = false;  ///< this stream's batches, for its views
};

/// Times of one round, read once.
struct agent_times {
  std::uint64_t monotonic_us = 0;
  std::uint64_t wall_us = 0;
};

/// A state machine of the agent's thread, tested without threads. It is `running`, or `held`: then
/// nothing new is started, what is under way ends, and the shards may be replaced.
class stream_agent {
 public:
  stream_agent(const stream_description& description, std::shared_ptr<stream_log> log,
               stream_port& port, const agent_tools& tools);

  // --- any thread ---
  const std::string& name() const { return name_; }
  stream_id id() const { return id_; }
  stream_port& port() const { return port_; }
  std::shared_ptr<stream_log> log() const { return log_; }
  stream_description description() const;
  /// The same, copied once a change.
  std::shared_ptr<const stream_description> shared_description() const;
  std::uint32_t open_shards() const { return open_shards_.load(std::memory_order_relaxed); }
  stream_status describe() const;
  void set_retention(const retention_policy& retention);

  // --- the agent's thread ---
  /// One round: takes what is durable, starts at most one batch. Returns how much it did.
  int do_work(const agent_times& now);
  /// True when do_work() has something to wait for.
  bool is_active() const {
    return port_.outstanding() > 0 || port_.is_blocked() || quiet_.has_value();
  }
  /// A batch is on the compute backend.
  bool is_routing() const { return slot_ != nullptr && !routed_; }
  /// Something is being written; its end shows on log().poll_fd().
  bool is_writing() const { return !log_->idle(); }
  /// When the oldest batch that is not durable was opened; nothing outstanding: `now_us`.
  std::uint64_t oldest_us(std::uint64_t now_us) const;

  /// Starts nothing new; `quiet` is fulfilled when nothing is under way, or fails while the log
  /// cannot be written.
  void hold(std::promise<status> quiet);
  void release();
  /// Only while held and quiet: the shards after a change.
  void install(const stream_description& description);
  /// Ends everything: what is under way or waiting comes back with `why`.
  void abandon(outcome why);

  /// Drops what retention lets go. Returns the closed shards whose records are all gone; the caller
  /// forgets them in the catalog, then calls forget_shards().
  std::vector<shard_index> tend(std::uint64_t wall_us, std::uint64_t hour_us);
  void forget_shards(const std::vector<shard_index>& expired);
  std::uint64_t log_bytes() const { return log_->bytes(); }

 private:
  int collect(std::uint64_t monotonic_us);
  int start_next(std::uint64_t wall_us);
  int append_routed(std::uint64_t wall_us);
  void append(record_batch& batch, std::span<const record_ref> order, std::uint64_t wall_us);
  void end_batch(record_batch& batch, outcome what);
  void note_blocked();
  void note_log_bytes();  // under mutex_
  void answer_hold();

  const std::string name_;
  const stream_id id_;
  stream_port& port_;
  const std::shared_ptr<stream_log> log_;
  agent_tools tools_;

  std::atomic<std::uint32_t> open_shards_;

  // The agent's thread alone.
  std::unique_ptr<route_table> table_;
  route_slot* slot_ = nullptr;  // the batch being routed, or routed and not yet appended
  bool routed_ = false;         // slot_: the backend is done
  bool held_ = false;
  bool full_ = false;     // byte retention is reached
  bool stalled_ = false;  // the batch now waiting has been counted
  std::optional<std::promise<status>> quiet_;
  std::vector<record_batch*> appended_;  // oldest first
  std::vector<record_batch*> done_;

  // Guarded; changed by the agent's thread (retention by others too).
  mutable std::mutex mutex_;
  stream_description description_;
  mutable std::shared_ptr<const stream_description> shared_description_;  // null after a change
  std::vector<std::uint64_t> open_bytes_;                                 // by ordinal
  std::unordered_map<shard_index, std::uint64_t> closed_bytes_;
  std::uint64_t log_bytes_ = 0;
  std::string blocked_;
};

}  // namespace millrace
