#pragma once
/// The durable log of one stream, shared by its shards: segment files of blocks (log_format.h,
/// docs/log_format.md). One thread appends; any number of threads read what is durable.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/record_batch.h"
#include "shards/file.h"
#include "shards/log_block.h"
#include "shards/log_keyring.h"
#include "shards/producer_table.h"
#include "shards/sequence_number.h"

namespace millrace {

struct log_options {
  std::uint64_t segment_bytes = limits::segment_bytes_default;
  durability ack = durability::durable;
  std::uint32_t flushes_in_flight = limits::flushes_in_flight_max;
  std::uint64_t hot_tail_bytes = 16 * limits::mib;  ///< newest blocks kept in memory for readers
  std::shared_ptr<const log_keyring> keyring{};     ///< of encryption at rest; null: no keys
  bool read_only = false;  ///< nothing is written, not even an index; nothing can be appended
};

struct recovery_report {
  std::uint64_t segments = 0;
  std::uint64_t blocks_scanned = 0;
  std::uint64_t bytes_cut = 0;  ///< of the torn tail
  std::vector<damage> damaged;
};

/// One record as a reader gets it. Views into a buffer that `read_chunk` keeps alive.
struct stored_record {
  record_view record;
  record_index index;
  std::uint64_t arrival_us;
  shard_index shard;
  bool is_encrypted;  ///< in the log
};

struct read_chunk {
  std::vector<stored_record> records;
  std::vector<std::shared_ptr<const void>> keep_alive;  ///< the buffers that `records` point into
  record_index next{};  ///< where to go on: the index after the last record, or after a gap
  std::uint64_t behind_us =
      0;  ///< newest durable arrival time less that of the position; 0: caught up
};

/// Ends a watch of a log when it goes.
class news_watch {
 public:
  virtual ~news_watch() = default;
};

class stream_log {
 public:
  virtual ~stream_log() = default;

  /// Opens or creates the log in `directory`: cuts a torn tail, reports damage, restores the
  /// producer table and every shard's next index. No other process may have it open.
  static result<std::unique_ptr<stream_log>> open(file_system& files, const std::string& directory,
                                                  stream_id stream, const log_options& options,
                                                  counter_set& counters, recovery_report& report);

  // --- the appender's thread ---------------------------------------------------------------

  /// Decides, before a batch is routed, what of it may go into the log, as of all batches admitted
  /// before it. Sets a refused entry's result (fenced, out_of_order, producers_exhausted) and takes
  /// its records out of `records` and `record_bytes`; the entries that stay pending cover `records`
  /// in order. Fills in epoch and next_record of open entries. What is admitted must be appended,
  /// in the order of admission: it is never taken back.
  virtual void admit(record_batch& batch, std::uint64_t wall_us) = 0;

  /// True when another batch can be appended now (a flush and a block buffer are free, the log is
  /// not blocked).
  virtual bool can_append() const = 0;
  /// Starts making a routed batch durable. The batch's `runs` name shard and record_count, `run`
  /// and `rank` are filled in; this fills in runs[].first, entries' results, is_encrypted and
  /// arrival_us (wall_us, but never before the previous batch's), copies each record into the
  /// block, and submits the write. `order`: its records in (run, rank) order. Call only when
  /// can_append(), after admit(). A batch with open entries alone is a block without records; one
  /// with nothing pending needs no block and still comes back in order.
  virtual void append(record_batch& batch, std::span<const record_ref> order,
                      std::uint64_t wall_us) = 0;
  /// Takes finished writes, in append order, into `done`. After a failed write the log turns
  /// blocked and retries by itself: what was not acked is written anew into a fresh segment.
  virtual void poll(std::uint64_t monotonic_us, std::vector<record_batch*>& done) = 0;
  virtual int poll_fd() const = 0;
  /// Set while the log cannot be written, with the reason.
  virtual std::optional<error> blocked() const = 0;
  virtual bool idle() const = 0;  ///< nothing in flight
  /// For the end of the program: waits for the writes under way and gives back every batch that is
  /// not acked, in order, with outcome::shutting_down. Nothing may be appended after it.
  virtual void abandon(std::vector<record_batch*>& done) = 0;
  /// From now on blocks are encrypted under this key of the keyring; 0: not. `permission` when the
  /// key cannot be used: then the log is blocked with that reason, until another call.
  virtual status use_key(std::uint32_t id) = 0;
  /// As admitted: ahead of what is durable by the batches in flight.
  virtual const producer_table& producers() const = 0;
  /// The next index of a shard, as appended; a new child shard starts at 0.
  virtual record_index next_index(shard_index shard) const = 0;
  /// Drops whole segments: those older than `before_us` (arrival of their newest record), and,
  /// oldest first, until at most `bytes_max` remain (0: no bound); the newest one only for its age,
  /// while nothing is in flight. Returns bytes freed.
  virtual std::uint64_t drop_segments(std::uint64_t before_us, std::uint64_t bytes_max) = 0;
  /// Bytes in use in all segment files; the preallocated rest of the open one does not count.
  virtual std::uint64_t bytes() const = 0;
  /// Forgets closed shards whose records are all gone; their indexes are never given out again by
  /// the catalog's rule that a shard index is never reused.
  virtual void forget_shards(std::span<const shard_index> expired) = 0;

  // --- any thread --------------------------------------------------------------------------

  /// Records of `shard` from index `from` on, at least one if there is one, then up to `bytes_max`
  /// and `records_max`. A position below the trim horizon starts at the horizon.
  virtual result<read_chunk> read(shard_index shard, record_index from, std::uint64_t bytes_max,
                                  std::uint32_t records_max) const = 0;
  virtual record_index trim_horizon(shard_index shard) const = 0;  ///< oldest index still there
  virtual record_index durable_end(shard_index shard) const = 0;   ///< one past the newest durable
  /// First record whose arrival time is at or after `arrival_us`; durable_end when there is none.
  virtual result<record_index> find_time(shard_index shard, std::uint64_t arrival_us) const = 0;
  /// Blocks until something newer than `seen` is durable in any shard, or the timeout; returns the
  /// new version. Start with 0.
  virtual std::uint64_t wait_for_news(std::uint64_t seen, std::uint64_t timeout_us) const = 0;
  /// For who follows many logs on one thread: `on_news` is called by the appender's thread each
  /// time that something has become durable. It must be quick, and ask the log nothing. It is not
  /// running any more once what is returned is gone, which the log outlives.
  virtual std::unique_ptr<news_watch> watch(std::function<void()> on_news) const = 0;

  /// Where each of a producer's records first..first+count-1 went, from the newest blocks: for a
  /// producer that reconnected and never got its results. `not_found` when they are no longer
  /// there.
  struct record_place {
    sequence_number sequence;
  };
  /// Looks back through at most limits::results_blocks_max blocks.
  virtual result<std::vector<record_place>> find_results(producer_id producer, record_number first,
                                                         std::uint32_t count) const = 0;

  /// The first block with records at or after `from`: out of memory, uncopied, while it is among
  /// the newest, else from the disk, checked. What is damaged is reported and passed over; so is
  /// what the disk cannot read, when `pass_unreadable`, else it is an error, for it may pass.
  /// `corrupt`: the position is beyond the end: another log's, or this one lost blocks that were
  /// not durable.
  virtual result<block_step> next_block(log_position from, bool pass_unreadable) const = 0;
  /// Has at least `bytes` of the newest blocks kept in memory from now on.
  virtual void keep_in_memory(std::uint64_t bytes) const = 0;
  /// Bytes of the log after `from`, framing included.
  virtual std::uint64_t bytes_after(log_position from) const = 0;

  /// Reads all blocks in log order; for `verify` and whole-stream readers. The visitor sees every
  /// whole block's records and every damage, and may stop by returning false.
  struct visitor {
    std::function<bool(const std::vector<stored_record>&)> block;
    std::function<void(const damage&)> damaged;
    /// Records of a run that is whole but cannot be opened, for want of its key: `block` does not
    /// see them.
    std::function<void(shard_index, record_index first, std::uint32_t count)> locked{};
  };
  virtual status scan(const visitor& visit) const = 0;
};

}  // namespace millrace
