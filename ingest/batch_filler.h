#pragma once
/// A door's open batches: records go in, one batch a stream is filled at a time, and full or old
/// batches go to the sink. Shared by the record server and the raw listeners of a door.
///
/// One thread, except finished(), which the pipeline calls.
#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/bounded_queue.h"
#include "base/counters.h"
#include "base/limits.h"
#include "base/record_batch.h"
#include "base/waker.h"

namespace millrace {

/// Gives back a buffer that a batch held. Called on the door's thread.
class buffer_owner {
 public:
  virtual void release(std::uint64_t value) = 0;

 protected:
  ~buffer_owner() = default;
};

/// Hears what became of a batch, on the door's thread, before its buffers are given back.
class batch_observer {
 public:
  virtual void batch_finished(const record_batch& batch, std::uint64_t now_us) = 0;

 protected:
  ~batch_observer() = default;
};

/// A stream as one filler knows it: an index, so that finding its batch is one load.
using stream_lane = strong_id<struct stream_lane_tag, std::uint32_t>;

/// Whose records they are: what a batch_entry needs. Runs that follow each other are merged into
/// one entry.
struct run_owner {
  entry_kind kind = entry_kind::raw;
  producer_id producer{};        ///< kinds records and open
  epoch_number epoch{};          ///< kind records
  record_number first_record{};  ///< kind records
  std::uint32_t owner_tag = 0;   ///< back in batch_entry::owner_tag
};

struct batch_filler_options {
  std::uint32_t batches = 64;  ///< filling, waiting or being written, over all streams of the door
  std::uint64_t linger_us = limits::batch_linger_us;
};

class batch_filler : public batch_home {
 public:
  /// `wake`, when not null, is notified for every finished batch.
  batch_filler(batch_sink& sink, const batch_filler_options& options, counter_set& counters,
               waker* wake);
  virtual ~batch_filler();

  /// Buffers whose handles carry the returned number (see buffer_handle) go back to `owner`. At
  /// most 16 owners; at start-up.
  std::uint32_t register_owner(buffer_owner& owner);
  /// What append() takes and a batch holds. `value` is below 2^56 (a pointer or an index).
  static std::uint64_t buffer_handle(std::uint32_t owner, std::uint64_t value) {
    return std::uint64_t{owner} << 56 | value;
  }
  /// Every observer hears of every batch and looks at the entries that are its own. At start-up.
  void register_observer(batch_observer& observer) { observers_.push_back(&observer); }

  /// The lane of a stream: the same for the same id. Lanes are never given back: a stream's number
  /// is never reused, and there are at most limits::streams_max at a time.
  stream_lane attach(const stream_target& stream);
  const stream_target& target(stream_lane lane) const { return lanes_[lane.value]->target; }

  /// Puts a run of checked records, which lie in `buffer`, into the stream's batch, all or none.
  /// True: the batch now holds the caller's reference to the buffer. False: no room; the caller
  /// keeps the reference and drops or tries later. `records` is at most limits::batch_records_max,
  /// and at most what fits an empty batch: batch_bytes_max of the stream, or one larger record
  /// alone.
  [[nodiscard]] bool append(stream_lane lane, const run_owner& owner,
                            std::span<const record_ref> records, std::uint64_t buffer,
                            std::uint64_t now_us);
  /// An entry without records: opens a producer's epoch. Same result.
  [[nodiscard]] bool append_open(stream_lane lane, producer_id producer, std::uint32_t owner_tag,
                                 std::uint64_t now_us);

  /// Submits batches that are full or whose linger is over, or whose stream has nothing else to do.
  /// Call after each burst. Returns how many went.
  int submit_due(std::uint64_t now_us);
  /// Submits all open batches that the sink takes, whatever their age. For shutdown.
  int submit_all();
  /// Takes back finished batches: tells the observers, releases buffers. Returns how many.
  int collect(std::uint64_t now_us);

  /// When submit_due() has something to do by time alone; UINT64_MAX: nothing is open.
  std::uint64_t next_due_us() const;
  bool has_finished() const { return !finished_.empty(); }
  /// Batches not in the pool: filling or submitted.
  std::uint32_t in_use() const { return static_cast<std::uint32_t>(all_.size() - pool_.size()); }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(all_.size()); }
  /// Batches handed to the sink and not collected yet.
  std::uint32_t in_flight() const { return static_cast<std::uint32_t>(in_flight_.size()); }
  /// Batches being filled, or full and waiting for the sink.
  std::uint32_t open_batches() const { return static_cast<std::uint32_t>(open_.size()); }
  /// Gives a reference back to the handle's owner.
  void release(std::uint64_t handle) {
    owners_[handle >> 56]->release(handle & ((std::uint64_t{1} << 56) - 1));
  }
  /// Updates the gauges of batches; a few times a second.
  void set_gauges(std::uint64_t now_us);
  bool is_blocked(stream_lane lane) const { return sink_.is_blocked(target(lane).id); }

  void finished(record_batch& batch) override;

 private:
  struct lane_state {
    stream_target target;
    record_batch* filling = nullptr;
    bool is_full = false;          ///< the sink refused it once, or the next run did not fit
    std::uint32_t open_index = 0;  ///< in open_, while filling
  };

  struct flight {
    record_batch* batch = nullptr;
    std::uint64_t opened_us = 0;  ///< its own may not be read while the sink has it
  };

  record_batch* room_for(lane_state& lane, std::uint64_t bytes, std::size_t records,
                         std::uint64_t now_us);
  bool submit(lane_state& lane);

  batch_sink& sink_;
  batch_filler_options options_;
  counter_set& counters_;
  waker* wake_;
  std::vector<std::unique_ptr<record_batch>> all_;
  std::vector<record_batch*> pool_;
  std::vector<std::unique_ptr<lane_state>> lanes_;
  std::unordered_map<stream_id, stream_lane> lane_of_;
  std::vector<lane_state*> open_;  ///< lanes with a batch that is being filled
  std::vector<flight> in_flight_;  ///< in no order
  bounded_queue<record_batch*> finished_;
  std::atomic<std::uint32_t> finishing_{0};  ///< calls of finished() under way
  std::array<buffer_owner*, 16> owners_{};
  std::uint32_t owner_count_ = 0;
  std::vector<batch_observer*> observers_;
};

}  // namespace millrace
