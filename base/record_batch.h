#pragma once
/// The unit that the pipeline works on: references to records that lie in the arena, the producer
/// runs they came in, and, after the pipeline, what became of each.
///
/// A batch belongs to one stream and has one owner at a time (see batch_state). Its door fills it,
/// submits it to a `batch_sink`, gets it back through its `batch_home`, tells its clients, gives
/// the buffers back to where they came from, and uses it again. Buffers named by `records` stay
/// untouched from submission to completion.
#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/record_format.h"
#include "base/types.h"

namespace millrace {

/// One record in the arena, in record_format.h's bytes. Non-owning.
struct record_ref {
  const std::byte* bytes = nullptr;
  std::uint32_t stride = 0;  ///< with padding: what the log copies
  std::uint16_t key_bytes = 0;
  std::uint8_t flags = 0;
  std::uint8_t reserved = 0;

  record_view view() const { return record_view(bytes); }
};
static_assert(sizeof(record_ref) == 16);

/// What became of a producer run, or of the whole batch.
enum class outcome : std::uint8_t {
  pending,
  committed,         ///< durable (or written, with --ack written)
  fenced,            ///< a newer epoch of the producer exists; nothing of the run is in the log
  out_of_order,      ///< the run does not follow the producer's last record; nothing is in the log
  stream_not_found,  ///< the stream is gone
  producers_exhausted,  ///< open only: too many producers are remembered
  shutting_down,
};
std::string_view to_string(outcome what);

enum class entry_kind : std::uint8_t {
  records,  ///< a run of numbered records of one producer's epoch
  raw,      ///< records without producer: no dedup
  open,     ///< no records: give the producer a new epoch and make that durable
};

/// A run of consecutive records in a batch from one producer. The runs of a batch cover its records
/// in order.
struct batch_entry {
  producer_id producer{};        ///< records, open
  record_number first_record{};  ///< records: the number of the run's first
  epoch_number epoch{};          ///< records: the session's; open: filled in by the pipeline
  std::uint32_t record_count = 0;
  std::uint32_t owner_tag = 0;  ///< the door's own mark (its session's slot)
  entry_kind kind = entry_kind::raw;
  outcome result = outcome::pending;
  record_number
      next_record{};  ///< open: filled in by the pipeline: the first number not in the log
  std::uint64_t record_bytes = 0;  ///< sum of its records' strides: the door's credit accounts
};

enum class batch_state : std::uint8_t {
  idle,       ///< owner: its door's free list
  filling,    ///< owner: its door
  submitted,  ///< owner: the sink
  finished,   ///< owner: its home's queue, then its door
};

class device_batch;  // gpu/fold.h
class record_batch;

/// Where a finished batch goes back to. `finished` is called by the pipeline's thread, or within
/// submit() when the batch is refused at once, and must not block: it queues the batch and wakes
/// the door.
class batch_home {
 public:
  virtual void finished(record_batch& batch) = 0;

 protected:
  ~batch_home() = default;
};

class record_batch {
 public:
  explicit record_batch(batch_home& home) : home_(home) {}
  record_batch(const record_batch&) = delete;
  record_batch& operator=(const record_batch&) = delete;

  // --- filled in by the door ---
  stream_id stream{};
  std::vector<record_ref> records;
  std::vector<batch_entry> entries;
  std::vector<std::uint64_t> buffers;  ///< the door's handles of what `records` point into
  std::uint64_t record_bytes = 0;      ///< sum of the strides
  std::uint64_t opened_us = 0;         ///< monotonic time of the first record: linger and lag

  // --- filled in by the pipeline ---
  /// The shards this batch has records of, by starting hash key: the shard, its creation second
  /// (part of the sequence number), and the index of the batch's first record in it.
  struct shard_run {
    shard_index shard{};
    std::uint32_t created_s = 0;
    record_index first{};
    std::uint32_t record_count = 0;
  };
  std::vector<shard_run> runs;
  /// Per record: which of `runs` it went to, and its rank there: its index in its shard's log is
  /// runs[run[i]].first + rank[i]. Refused entries' records have been taken out of `records`.
  std::vector<std::uint16_t> run;
  std::vector<std::uint32_t> rank;
  std::uint64_t arrival_us = 0;  ///< wall time given to all records of the batch
  bool is_encrypted = false;     ///< in the log
  /// What the backend left of the batch on its device, if anything: goes to the block's readers.
  std::shared_ptr<const device_batch> device;
  outcome result = outcome::pending;

  batch_home& home() const { return home_; }
  batch_state state() const { return state_.load(std::memory_order_acquire); }
  /// Moves from one state to the next; a bug of ours if it was in another.
  void advance(batch_state from, batch_state to);
  /// Empties it for reuse, keeping capacity.
  void clear();

 private:
  batch_home& home_;
  std::atomic<batch_state> state_{batch_state::idle};
};

/// What a door needs to know of a stream.
struct stream_target {
  stream_id id{};
  std::uint32_t batch_bytes_max = 0;
};

/// The one path from every door to the logs. Implemented by the pipeline; all calls are
/// thread-safe.
class batch_sink {
 public:
  virtual ~batch_sink() = default;

  virtual result<stream_target> find_stream(std::string_view name) = 0;

  /// Takes a batch in state `filling` (it becomes `submitted`), or returns false when no more can
  /// wait; the door keeps it and tries again. Batches from one caller keep their order.
  [[nodiscard]] virtual bool submit(record_batch& batch) = 0;

  /// True when nothing is waiting or being written for the stream, so that lingering is pointless.
  virtual bool is_idle(stream_id stream) const = 0;

  /// True while the stream's log cannot be written (disk full, I/O errors). Submitted batches wait
  /// for it to end; doors give no more credit and refuse newcomers.
  virtual bool is_blocked(stream_id stream) const = 0;
};

}  // namespace millrace
