#include "shards/retention.h"

#include "pipeline_fixture.h"

namespace millrace {
namespace {

class retention_test : public pipeline_fixture {
 protected:
  retention_test() {
    options_.log.segment_bytes = 4 * limits::mib;
    options_.tend_interval_us = 1000;
  }
  /// Writes about `bytes` in batches of 1 MiB, or until the stream takes no more.
  void write(test_door& door, stream_id stream, std::uint64_t bytes) {
    for (std::uint64_t done = 0; done < bytes && !line_->is_blocked(stream);) {
      record_batch& batch = door.fill(stream, 1000, 1000);
      done += batch.record_bytes;
      const std::size_t before = door.finished_count();
      submit(batch);
      pump_until([&] { return door.finished_count() > before || line_->is_blocked(stream); });
    }
  }
  std::uint64_t log_bytes() { return line_->describe("orders")->log_bytes; }
};

TEST_F(retention_test, hours_become_a_horizon_and_bytes_a_bound) {
  const retention_policy by_time{.hours = 24, .bytes_max = 0, .when_full = full_policy::refuse};
  EXPECT_EQ(limits_of(by_time, 100'000, 1000).before_us, 76'000u);
  EXPECT_EQ(limits_of(by_time, 10, 1000).before_us, 0u);
  EXPECT_EQ(limits_of(by_time, 100'000, 1000).bytes_max, 0u);
  const retention_policy refusing{.hours = 24, .bytes_max = 500, .when_full = full_policy::refuse};
  EXPECT_EQ(limits_of(refusing, 100'000, 1000).bytes_max, 0u);
  EXPECT_FALSE(is_full(refusing, 499));
  EXPECT_TRUE(is_full(refusing, 500));
  const retention_policy dropping{
      .hours = 24, .bytes_max = 500, .when_full = full_policy::drop_oldest};
  EXPECT_EQ(limits_of(dropping, 100'000, 1000).bytes_max, 500u);
  EXPECT_FALSE(is_full(dropping, 1000));
  EXPECT_FALSE(is_full(by_time, ~0ull));
}

TEST_F(retention_test, records_older_than_the_retention_go_with_their_segments) {
  options_.retention_hour_us = 10'000'000;  // 24 "hours" are 240 seconds
  open();
  test_door door(1);
  const stream_id stream = create("orders", 1);
  write(door, stream, 20 * limits::mib);
  const auto log = *line_->log_of("orders");
  const std::uint64_t before = log_bytes();
  line_->do_work();
  EXPECT_EQ(log->trim_horizon(shard_index(0)), record_index(0)) << "nothing is that old";
  close();
  options_.retention_hour_us = 1;
  open();
  const auto reopened = *line_->log_of("orders");
  pump_until([&] { return reopened->trim_horizon(shard_index(0)).value > 0; });
  EXPECT_LT(log_bytes(), before);
  EXPECT_GT(reopened->durable_end(shard_index(0)).value, 15'000u) << "indexes are never used again";
}

TEST_F(retention_test, a_stream_that_drops_the_oldest_stays_under_its_bytes_and_never_blocks) {
  open();
  test_door door(2);
  const stream_id stream =
      create("orders", 2,
             {.hours = 24, .bytes_max = 16 * limits::mib, .when_full = full_policy::drop_oldest});
  write(door, stream, 60 * limits::mib);
  line_->do_work();
  EXPECT_FALSE(line_->is_blocked(stream));
  pump_until([&] {
    line_->do_work();
    return log_bytes() <= 20 * limits::mib;
  });
  const auto log = *line_->log_of("orders");
  EXPECT_GT(log->trim_horizon(shard_index(0)).value, 0u);
  EXPECT_GT(log->durable_end(shard_index(0)), log->trim_horizon(shard_index(0)));
}

TEST_F(retention_test, a_full_stream_refuses_until_its_retention_is_raised_and_loses_nothing) {
  open();
  test_door door(3);
  const stream_id stream = create(
      "orders", 2, {.hours = 24, .bytes_max = 8 * limits::mib, .when_full = full_policy::refuse});
  test_door other_door(4);
  const stream_id other = create("other", 1);
  write(door, stream, 30 * limits::mib);
  EXPECT_TRUE(line_->is_blocked(stream));
  EXPECT_EQ(line_->describe("orders")->blocked, "retention of 8388608 bytes reached");
  EXPECT_LT(log_bytes(), 10 * limits::mib);
  EXPECT_EQ(line_->counters().get(gauge::storage_faults), 1u);
  submit(door.fill(stream, 10));
  submit(other_door.fill(other, 10));
  pump(other_door, 1);
  EXPECT_FALSE(line_->is_idle(stream));
  // What was taken is there to read, and what waits is taken when there is room.
  ASSERT_TRUE(line_->set_retention("orders", {.hours = 24, .bytes_max = 0}).ok());
  pump_until([&] { return line_->is_idle(stream); });
  EXPECT_FALSE(line_->is_blocked(stream));
  EXPECT_EQ(line_->describe("orders")->blocked, "");
  expect_all_in_order("orders", door.written());
}

TEST_F(retention_test, a_retention_outside_the_bounds_is_refused) {
  open();
  create("orders", 1);
  EXPECT_FALSE(line_->set_retention("orders", {.hours = 23}).ok());
  EXPECT_FALSE(line_->set_retention("orders", {.hours = 8761}).ok());
  EXPECT_EQ(line_->set_retention("none", {}).failure().code(), error_code::not_found);
  ASSERT_TRUE(line_->set_retention("orders", {.hours = 48}).ok());
  reopen();
  EXPECT_EQ(line_->describe("orders")->description.retention.hours, 48u);
}

TEST_F(retention_test,
       closed_shards_are_forgotten_when_their_records_are_gone_and_open_ones_never) {
  open();
  test_door door(5);
  const stream_id stream =
      create("orders", 1,
             {.hours = 24, .bytes_max = 8 * limits::mib, .when_full = full_policy::drop_oldest});
  submit(door.fill(stream, 100));
  pump(door, 1);
  ASSERT_TRUE(line_->reshard("orders", 2).ok());
  EXPECT_EQ(shards_of("orders").size(), 3u);
  write(door, stream, 40 * limits::mib);
  pump_until([&] { return shards_of("orders").size() == 2; });
  for (const shard_info& shard : shards_of("orders")) {
    EXPECT_TRUE(shard.is_open());
  }
  reopen();
  EXPECT_EQ(shards_of("orders").size(), 2u);
  EXPECT_EQ(line_->describe("orders")->description.next_shard, shard_index(3));
  EXPECT_EQ(shards_of("orders")[0].parent, shard_index(0));
}

}  // namespace
}  // namespace millrace
