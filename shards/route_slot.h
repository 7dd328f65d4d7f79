#pragma once
/// One batch's way through the compute backend, and what the log needs of the answer.
#include <cstdint>
#include <span>
#include <vector>

#include "base/record_batch.h"
#include "gpu/backend.h"
#include "gpu/shard_map.h"
#include "shards/catalog.h"

namespace millrace {

/// Where a stream's records go: its open shards, as the backend and the log need them. Immutable.
struct route_table {
  explicit route_table(const stream_description& stream);

  shard_map map;
  std::vector<std::uint32_t> created_s;  ///< by ordinal
};

/// Reused for batch after batch; its arrays grow to the largest seen and stay.
class route_slot {
 public:
  /// Prepares the job for a batch whose refused records have been taken out. Both arguments stay
  /// until the job is done. `keep`: the batch stays on the device that routes it, to be folded.
  void begin(record_batch& batch, const route_table& table, bool keep);
  route_job& job() { return job_; }
  record_batch* batch() const { return batch_; }

  /// After the backend is done: fills in the batch's runs (only shards that have records), run and
  /// rank, and order().
  void finish();
  /// The batch's records in (run, rank) order.
  std::span<const record_ref> order() const { return {order_.data(), batch_->records.size()}; }
  /// Record bytes by ordinal of the map.
  std::span<const std::uint64_t> shard_bytes() const { return job_.shard_bytes; }
  /// Forgets the batch.
  void clear() { batch_ = nullptr; }

 private:
  struct run_place {
    std::uint32_t base = 0;  // of the run's records in order_
    std::uint16_t run = 0;
  };
  record_batch* batch_ = nullptr;
  const route_table* table_ = nullptr;
  route_job job_;
  std::vector<std::uint32_t> shard_records_;
  std::vector<std::uint64_t> shard_bytes_;
  std::vector<run_place> places_;  // by ordinal
  std::vector<record_ref> order_;
};

}  // namespace millrace
