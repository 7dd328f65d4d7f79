#pragma once
/// The writing side of a log: blocks in flight, segments, failures. One thread.
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/record_batch.h"
#include "shards/block_pool.h"
#include "shards/log_recovery.h"
#include "shards/log_shared.h"
#include "shards/run_cipher.h"
#include "shards/stream_log.h"

namespace millrace {

/// Contracts of the public functions: stream_log.h.
class log_appender {
 public:
  log_appender(log_shared& shared, const log_options& options, counter_set& counters,
               const recovered_log& recovered);
  ~log_appender();
  log_appender(const log_appender&) = delete;
  log_appender& operator=(const log_appender&) = delete;

  void admit(record_batch& batch, std::uint64_t wall_us);
  bool can_append() const;
  void append(record_batch& batch, std::span<const record_ref> order, std::uint64_t wall_us);
  void poll(std::uint64_t monotonic_us, std::vector<record_batch*>& done);
  void abandon(std::vector<record_batch*>& done);
  int poll_fd() const { return queue_ == nullptr ? -1 : queue_->poll_fd(); }
  std::optional<error> blocked() const { return locked_ ? locked_ : blocked_; }
  status use_key(std::uint32_t id);
  bool idle() const { return waiting_.empty(); }
  const producer_table& producers() const { return admitted_; }
  record_index next_index(shard_index shard) const;
  std::uint64_t drop_segments(std::uint64_t before_us, std::uint64_t bytes_max);
  void forget_shards(std::span<const shard_index> expired);

 private:
  enum class write_state : std::uint8_t { waiting, writing, written, failed };

  /// A batch between append() and its completion.
  struct pending {
    record_batch* batch = nullptr;
    block_ref block;  ///< null: nothing of the batch goes into the log
    std::uint32_t block_bytes = 0;
    std::uint32_t run_count = 0;
    write_state state = write_state::waiting;
    bool again = false;  ///< was written before, into a segment that is no longer trusted
    std::uint64_t offset = 0;
  };

  void submit_waiting();
  bool submit(pending& one, std::uint64_t token);
  bool fits(const pending& one) const;
  void take_finished(std::vector<record_batch*>& done);
  void complete(pending& one);
  void publish(const pending& one);
  void give_up_segment();
  void block(error why);

  status start_segment(std::uint64_t least_bytes, std::uint64_t wanted_bytes);
  status create_segment(segment& one, std::uint64_t least_bytes, std::uint64_t wanted_bytes);
  void roll_expired(std::uint64_t before_us);
  void close_segment();
  std::uint64_t write_closing_block();
  void remove_abandoned();
  void replace_segments(segment_list list);
  void release_memory();

  log_shared& shared_;
  const log_options options_;
  counter_set& counters_;
  std::shared_ptr<block_pool> pool_;
  std::unique_ptr<write_queue> queue_;  ///< made with the first write

  // As admitted and appended: ahead of what is durable.
  producer_table admitted_;
  std::unordered_map<shard_index, record_index> next_;
  std::uint64_t arrival_us_ = 0;
  // As completed: what a snapshot says.
  log_state committed_;

  std::deque<pending> waiting_;    ///< in append order; the front is the next to complete
  std::uint64_t first_token_ = 0;  ///< of waiting_'s front
  std::uint32_t writing_ = 0;
  std::vector<finished_write> finished_;

  // The open segment is the shared list's last while file_ is set.
  std::unique_ptr<file> file_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t write_offset_ = 0;
  std::uint64_t next_ordinal_ = 0;
  std::uint64_t run_count_ = 0;
  segment_number highest_;
  std::vector<std::string> abandoned_;

  bool failed_ = false;  ///< a write into the open segment failed
  std::optional<error> blocked_;
  std::optional<error> locked_;         ///< its key cannot be used: nothing goes in unencrypted
  std::unique_ptr<run_sealer> sealer_;  ///< null: not encrypted
  std::uint64_t now_us_ = 0;
  std::uint64_t active_us_ = 0;  ///< when something was last in flight
  bool released_ = true;         ///< the memory of a busy log was given back
  std::uint64_t retry_us_ = 0;
};

}  // namespace millrace
