#pragma once
/// Makes routed batches for tests of the log: records by producer and shard, without a pipeline.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/record_batch.h"
#include "base/record_format.h"
#include "shards/stream_log.h"

namespace millrace {

/// A batch with the memory that its records lie in. Records are added entry by entry; route() then
/// does what the pipeline's backend does.
class built_batch final : public batch_home {
 public:
  built_batch() : batch_(*this) {}
  built_batch(const built_batch&) = delete;
  built_batch& operator=(const built_batch&) = delete;

  void open_entry(producer_id producer) {
    add_entry({.producer = producer, .kind = entry_kind::open});
  }
  void raw_entry() { add_entry({.kind = entry_kind::raw}); }
  void records_entry(producer_id producer, epoch_number epoch, record_number first) {
    add_entry(
        {.producer = producer, .first_record = first, .epoch = epoch, .kind = entry_kind::records});
  }
  /// Adds a record to the last entry.
  void record(shard_index shard, const std::string& key, const std::string& data) {
    const std::uint32_t stride = record_stride(key.size(), data.size(), false);
    std::vector<std::byte>& bytes = memory_.emplace_back(stride);
    write_record(bytes.data(), key, std::as_bytes(std::span(data.data(), data.size())), nullptr);
    batch_.records.push_back({bytes.data(), stride, static_cast<std::uint16_t>(key.size()), 0, 0});
    batch_.record_bytes += stride;
    ++batch_.entries.back().record_count;
    shard_of_[bytes.data()] = shard;
  }

  /// Fills in runs (by shard index), run, rank and order, of the records that were admitted.
  void route(std::uint32_t created_s = 1000) {
    std::map<shard_index, std::uint32_t> counts;
    for (const record_ref& one : batch_.records)
      ++counts[shard_of_[one.bytes]];
    std::map<shard_index, std::uint16_t> ordinals;
    batch_.runs.clear();
    for (const auto& [shard, count] : counts) {
      ordinals[shard] = static_cast<std::uint16_t>(batch_.runs.size());
      batch_.runs.push_back({shard, created_s, {}, count});
    }
    batch_.run.clear();
    batch_.rank.clear();
    std::vector<std::uint32_t> next(batch_.runs.size());
    for (const record_ref& one : batch_.records) {
      const std::uint16_t run = ordinals[shard_of_[one.bytes]];
      batch_.run.push_back(run);
      batch_.rank.push_back(next[run]++);
    }
    order_ = batch_.records;
    std::stable_sort(order_.begin(), order_.end(), [&](const record_ref& a, const record_ref& b) {
      return ordinals[shard_of_[a.bytes]] < ordinals[shard_of_[b.bytes]];
    });
  }

  record_batch& batch() { return batch_; }
  const std::vector<record_ref>& order() const { return order_; }
  shard_index shard_of(std::size_t record) { return shard_of_[batch_.records[record].bytes]; }

  void finished(record_batch&) override {}

 private:
  void add_entry(const batch_entry& entry) { batch_.entries.push_back(entry); }

  record_batch batch_;
  std::deque<std::vector<std::byte>> memory_;
  std::map<const std::byte*, shard_index> shard_of_;
  std::vector<record_ref> order_;
};

/// admit + route + append, as the pipeline does it.
inline void append_to(stream_log& log, built_batch& one, std::uint64_t wall_us) {
  log.admit(one.batch(), wall_us);
  one.route();
  log.append(one.batch(), one.order(), wall_us);
}

}  // namespace millrace
