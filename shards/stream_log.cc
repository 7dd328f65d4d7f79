#include "shards/stream_log.h"

#include <chrono>

#include "shards/log_appender.h"
#include "shards/log_reader.h"
#include "shards/log_recovery.h"
#include "shards/log_shared.h"

namespace millrace {
namespace {

/// Ties the appender and the readers to what they share.
class segmented_log : public stream_log {
 public:
  segmented_log(file_system& files, const std::string& directory, stream_id stream,
                const log_options& options, counter_set& counters, const recovered_log& recovered)
      : shared_(files, directory, stream, options.hot_tail_bytes),
        appender_(shared_, options, counters, recovered),
        reader_(shared_) {
    shared_.segments = std::make_shared<const segment_list>(recovered.segments);
    shared_.newest_us = recovered.state.arrival_us;
    for (const auto& [shard, end] : recovered.state.next)
      shared_.shards[shard].end = end;
    for (const auto& [shard, horizon] : recovered.horizons) {
      shared_.shards[shard].horizon = horizon;
    }
  }

  void admit(record_batch& batch, std::uint64_t wall_us) override {
    appender_.admit(batch, wall_us);
  }
  bool can_append() const override { return appender_.can_append(); }
  void append(record_batch& batch, std::span<const record_ref> order,
              std::uint64_t wall_us) override {
    appender_.append(batch, order, wall_us);
  }
  void poll(std::uint64_t monotonic_us, std::vector<record_batch*>& done) override {
    appender_.poll(monotonic_us, done);
  }
  int poll_fd() const override { return appender_.poll_fd(); }
  std::optional<error> blocked() const override { return appender_.blocked(); }
  bool idle() const override { return appender_.idle(); }
  void abandon(std::vector<record_batch*>& done) override { appender_.abandon(done); }
  const producer_table& producers() const override { return appender_.producers(); }
  record_index next_index(shard_index shard) const override { return appender_.next_index(shard); }
  std::uint64_t drop_segments(std::uint64_t before_us, std::uint64_t bytes_max) override {
    return appender_.drop_segments(before_us, bytes_max);
  }
  void forget_shards(std::span<const shard_index> expired) override {
    appender_.forget_shards(expired);
  }

  std::uint64_t bytes() const override {
    std::lock_guard lock(shared_.mutex);
    std::uint64_t sum = 0;
    for (const auto& one : *shared_.segments)
      sum += one->end;
    return sum;
  }

  result<read_chunk> read(shard_index shard, record_index from, std::uint64_t bytes_max,
                          std::uint32_t records_max) const override {
    return reader_.read(shard, from, bytes_max, records_max);
  }
  record_index trim_horizon(shard_index shard) const override { return bounds_of(shard).horizon; }
  record_index durable_end(shard_index shard) const override { return bounds_of(shard).end; }
  result<record_index> find_time(shard_index shard, std::uint64_t arrival_us) const override {
    return reader_.find_time(shard, arrival_us);
  }

  std::uint64_t wait_for_news(std::uint64_t seen, std::uint64_t timeout_us) const override {
    std::unique_lock lock(shared_.mutex);
    shared_.news.wait_for(lock, std::chrono::microseconds(timeout_us),
                          [&] { return shared_.version != seen; });
    return shared_.version;
  }

  result<std::vector<record_place>> find_results(producer_id producer, record_number first,
                                                 std::uint32_t count) const override {
    return reader_.find_results(producer, first, count);
  }
  result<block_step> next_block(log_position from, bool pass_unreadable) const override {
    return reader_.next_block(from, pass_unreadable);
  }
  void keep_in_memory(std::uint64_t bytes) const override { shared_.hot.keep(bytes); }
  std::uint64_t bytes_after(log_position from) const override { return reader_.bytes_after(from); }
  status scan(const visitor& visit) const override { return reader_.scan(visit); }

 private:
  log_shared::shard_bounds bounds_of(shard_index shard) const {
    std::lock_guard lock(shared_.mutex);
    const auto known = shared_.shards.find(shard);
    return known == shared_.shards.end() ? log_shared::shard_bounds{} : known->second;
  }

  log_shared shared_;
  log_appender appender_;
  log_reader reader_;
};

}  // namespace

result<std::unique_ptr<stream_log>> stream_log::open(file_system& files,
                                                     const std::string& directory, stream_id stream,
                                                     const log_options& options,
                                                     counter_set& counters,
                                                     recovery_report& report) {
  auto recovered = recover_log(files, directory, stream, options.read_only, report);
  if (!recovered.ok()) {
    return std::move(recovered).failure().with_context("log of stream " +
                                                       std::to_string(stream.value));
  }
  counters.add(counter::blocks_damaged, report.damaged.size());
  return std::unique_ptr<stream_log>(
      std::make_unique<segmented_log>(files, directory, stream, options, counters, **recovered));
}

}  // namespace millrace
