#pragma once
/// A view over a log, with verbs: write, run, crash, stop. No threads and no clocks.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "analytics/view_keeper.h"
#include "analytics/view_lane.h"
#include "gpu/group_key.h"
#include "tests/shards/log_fixture.h"
#include "tests/shards/temporary_directory.h"

namespace millrace {

constexpr std::int64_t second_us = 1'000'000;

/// Counts and sums by key in windows of ten seconds of the records' own time.
inline view_plan counting_plan(const std::string& name = "counts") {
  view_plan plan;
  plan.name = name;
  plan.stream = "clicks";
  plan.layout = record_layout::json;
  plan.fields = {
      {"t", field_type::timestamp, json_source{"t"}, time_format::microseconds},
      {"k", field_type::string, json_source{"k"}, {}},
      {"v", field_type::int64, json_source{"v"}, {}},
  };
  plan.group_by = {1};
  plan.window = {window_kind::tumbling, 10 * second_us, 10 * second_us, 0};
  plan.time_field = 0;
  plan.aggregates = {{"count", aggregate_kind::count, {}, 0}, {"sum", aggregate_kind::sum, 2, 0}};
  plan.delay_us = second_us;
  plan.future_max_us = INT64_MAX / 4;
  return plan;
}

/// "start..end key count sum" of each row.
inline std::vector<std::string> row_texts(const window_rows& rows) {
  std::vector<std::string> all;
  const std::size_t values = rows.rows.empty() ? 0 : rows.values.size() / rows.rows.size();
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    std::string text = std::to_string(rows.rows[i].start_us / second_us) + ".." +
                       std::to_string(rows.rows[i].end_us / second_us) + " ";
    for (const std::byte b : rows.key(rows.rows[i])) {
      const char c = static_cast<char>(b);
      if (c >= 'a' && c <= 'z') text += c;
    }
    for (std::size_t v = i * values; v < (i + 1) * values; ++v) {
      const result_value& value = rows.values[v];
      text += value.is_null ? " null" : " " + std::to_string(value.bits);
    }
    all.push_back(text);
  }
  return all;
}

/// What a test makes a store or a fold refuse.
struct view_faults {
  std::atomic<bool> store_fails = false;  ///< these two also for a lane that writes in background
  std::atomic<std::uint64_t> store_writes = 0;
  std::uint64_t polls_until_loss = UINT64_MAX;
};

class faulty_view_store final : public view_store {
 public:
  faulty_view_store(std::unique_ptr<view_store> below, view_faults& faults)
      : below_(std::move(below)), faults_(faults) {}
  result<std::optional<view_identity>> identity() override { return below_->identity(); }
  status reset(const view_identity& identity) override { return below_->reset(identity); }
  result<view_checkpoint> load() override { return below_->load(); }
  result<std::vector<journal_batch>> journal() override { return below_->journal(); }
  std::uint64_t next_ordinal() const override { return below_->next_ordinal(); }
  result<std::optional<stored_emission>> find(std::uint64_t ordinal) override {
    return below_->find(ordinal);
  }
  result<std::uint64_t> write(const store_write& batch) override {
    if (faults_.store_fails) return error(error_code::storage_full, "database or disk is full");
    ++faults_.store_writes;
    return below_->write(batch);
  }
  result<window_rows> read_closed(const view_query& query) const override {
    return below_->read_closed(query);
  }
  result<std::vector<late_record>> read_late(std::uint32_t rows_max) const override {
    return below_->read_late(rows_max);
  }
  result<std::vector<emission>> read_emissions(std::uint64_t ordinal,
                                               std::uint64_t bytes_max) const override {
    return below_->read_emissions(ordinal, bytes_max);
  }

 private:
  std::unique_ptr<view_store> below_;
  view_faults& faults_;
};

/// A fold around another; tests change what they are about.
class wrapped_fold : public window_fold {
 public:
  explicit wrapped_fold(std::unique_ptr<window_fold> below) : below_(std::move(below)) {}
  bool submit(fold_job& job) override { return below_->submit(job); }
  result<bool> poll(fold_job& job) override { return below_->poll(job); }
  status close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) override {
    return below_->close(view, watermark_us, out);
  }
  status read_open(std::uint32_t view, const open_range& range, window_rows& out) override {
    return below_->read_open(view, range, out);
  }
  fold_size size(std::uint32_t view) const override { return below_->size(view); }
  status snapshot(std::uint32_t view, std::vector<std::byte>& out) override {
    return below_->snapshot(view, out);
  }
  status restore(std::uint32_t view, byte_view bytes) override {
    return below_->restore(view, bytes);
  }
  std::string describe() const override { return "device"; }

 private:
  std::unique_ptr<window_fold> below_;
};

/// A fold whose device is lost after some jobs.
class faulty_fold final : public wrapped_fold {
 public:
  faulty_fold(std::unique_ptr<window_fold> below, view_faults& faults)
      : wrapped_fold(std::move(below)), faults_(faults) {}
  result<bool> poll(fold_job& job) override {
    if (faults_.polls_until_loss == 0) return error(error_code::io, "the device fell off the bus");
    --faults_.polls_until_loss;
    return wrapped_fold::poll(job);
  }

 private:
  view_faults& faults_;
};

class view_fixture {
 public:
  explicit view_fixture(view_plan wanted = counting_plan(),
                        const log_options& options = {.segment_bytes = 256 * 1024})
      : plan(std::move(wanted)), log(options) {
    open();
  }

  struct event {
    std::uint32_t shard;
    std::int64_t second;
    std::string key;
  };
  void write(const std::vector<event>& events) {
    std::vector<log_fixture::plain_record> records;
    for (const event& one : events) {
      records.push_back({one.shard, "{\"t\":" + std::to_string(one.second * second_us) +
                                        ",\"k\":\"" + one.key + "\",\"v\":1}"});
    }
    log.write(records);
  }
  /// Lets the view come to rest.
  void run(int rounds_max = 10'000) {
    look();
    lane->do_work(now(), shards);
    while (rounds_max-- > 0 && lane->do_work(now(), {}) > 0) {
    }
  }
  /// Looks at the shards as they are now.
  void look() {
    for (known_shard& one : shards) {
      one.horizon = log.log->trim_horizon(one.shard);
      one.end = log.log->durable_end(one.shard);
    }
  }
  lane_times now() {
    monotonic_us += 30'000;
    return {.monotonic_us = monotonic_us, .wall_us = log.wall_us};
  }
  /// The view's process is gone; nothing of it is written any more. The log closes after who reads
  /// it.
  void crash(bool with_log = false) {
    lane = nullptr;
    keeper = nullptr;
    if (with_log) log.reopen();
    open();
  }
  void stop() { ASSERT_TRUE(lane->finish(now()).ok()); }
  void open() {
    auto store = view_store::open(directory.path() + "/counts.view");
    ASSERT_TRUE(store.ok()) << store.failure().message();
    keeper = std::make_unique<view_keeper>(
        plan, std::make_unique<faulty_view_store>(*std::move(store), faults), rows_kept_bytes);
    const status adopted = keeper->adopt(7);
    ASSERT_TRUE(adopted.ok()) << adopted.failure().message();
    restore();
  }
  void restore() {
    auto restored = keeper->restore();
    ASSERT_TRUE(restored.ok()) << restored.failure().message();
    auto fold = make_cpu_fold({plan});
    ASSERT_TRUE(fold.ok()) << fold.failure().message();
    if (!restored->empty()) {
      const status taken = (*fold)->restore(0, *restored);
      ASSERT_TRUE(taken.ok()) << taken.failure().message();
    }
    lane = std::make_unique<view_lane>(
        std::shared_ptr<const stream_log>(std::shared_ptr<void>(), log.log.get()),
        std::vector<view_keeper*>{keeper.get()},
        std::make_unique<faulty_fold>(*std::move(fold), faults), policy);
  }

  /// Everything that went out, emission by emission; each ordinal must be there once.
  std::vector<std::string> emitted() {
    std::vector<std::string> all;
    auto found = keeper->store().read_emissions(0, UINT64_MAX);
    EXPECT_TRUE(found.ok());
    std::uint64_t expected = found->empty() ? 0 : found->front().ordinal;
    for (const emission& one : *found) {
      EXPECT_EQ(one.ordinal, expected++);
      all.push_back("#" + std::to_string(one.ordinal) + " to " +
                    std::to_string(one.watermark_us / second_us));
      for (const std::string& row : row_texts(*one.windows))
        all.push_back(row);
    }
    return all;
  }
  view_status status_now() {
    lane->publish();
    return keeper->feed().status();
  }

  view_plan plan;
  log_fixture log;
  temporary_directory directory{memory_directory()};
  view_faults faults;
  checkpoint_policy policy{.interval_us = 1'000'000'000'000, .bytes = UINT64_MAX};
  std::uint64_t rows_kept_bytes = UINT64_MAX;
  std::vector<known_shard> shards{{.shard = shard_index(0)}, {.shard = shard_index(1)}};
  std::unique_ptr<view_keeper> keeper;
  std::unique_ptr<view_lane> lane;
  std::uint64_t monotonic_us = 1'000'000;
};

}  // namespace millrace
