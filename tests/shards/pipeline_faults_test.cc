#include <thread>

#include "pipeline_fixture.h"
#include "shards/faulty_file_system.h"
#include "shards/pipeline.h"

namespace millrace {
namespace {

constexpr std::uint64_t until_changed = ~0ull;

/// A pipeline over a disk that fails when it is told to.
class pipeline_faults_test : public pipeline_fixture {
 protected:
  pipeline_faults_test() {
    options_.files = std::make_shared<faulty_file_system>(*disk_, plan_, 1);
    options_.stop_patience_us = 300'000;
  }
  void break_disk() {
    plan_.failing_writes = until_changed;
    plan_.failing_allocations = until_changed;
  }
  void mend_disk() {
    plan_.failing_writes = 0;
    plan_.failing_allocations = 0;
  }

  std::unique_ptr<file_system> disk_ = make_posix_file_system(flush_engine::automatic);
  fault_plan plan_;
};

TEST_F(pipeline_faults_test, a_stream_whose_disk_fails_is_blocked_and_loses_nothing) {
  open();
  test_door door(1);
  const stream_id stream = create("orders", 4);
  submit(door.fill(stream, 100));
  pump(door, 1);
  for (int round = 0; round < 2; ++round) {
    break_disk();
    for (int i = 0; i < 10; ++i)
      submit(door.fill(stream, 100));
    pump_until([&] { return line_->is_blocked(stream); });
    EXPECT_FALSE(line_->is_idle(stream));
    EXPECT_NE(line_->describe("orders")->blocked, "");
    line_->do_work();
    EXPECT_EQ(line_->counters().get(gauge::storage_faults), 1u);
    EXPECT_GT(line_->counters().get(gauge::durable_lag_us), 0u);
    // What was durable before can be read all the while.
    std::uint64_t readable = 0;
    const auto log = *line_->log_of("orders");
    for (const shard_info& shard : shards_of("orders")) {
      readable += read_shard(*log, shard.shard).size();
    }
    EXPECT_GE(readable, 100u);
    mend_disk();
    pump(door, 1 + 10 * (static_cast<std::size_t>(round) + 1));
    pump_until([&] { return !line_->is_blocked(stream); });
    EXPECT_EQ(line_->describe("orders")->blocked, "");
    EXPECT_EQ(line_->counters().get(gauge::storage_faults), 0u);
  }
  for (const record_batch* batch : door.finished_batches()) {
    EXPECT_EQ(batch->result, outcome::committed);
  }
  expect_all_in_order("orders", door.written());
  reopen();
  expect_all_in_order("orders", door.written());
}

TEST_F(pipeline_faults_test, a_running_pipeline_recovers_by_itself) {
  open();
  test_door door(2);
  const stream_id stream = create("orders", 4);
  line_->start();
  for (std::size_t round = 1; round <= 2; ++round) {
    plan_.failing_writes = 3;
    for (int i = 0; i < 10; ++i)
      submit(door.fill(stream, 100));
    door.wait_for(10 * round);
  }
  expect_all_in_order("orders", door.written());
  EXPECT_FALSE(line_->is_blocked(stream));
}

TEST_F(pipeline_faults_test, a_blocked_stream_is_not_resharded_but_can_be_deleted) {
  open();
  test_door door(3);
  const stream_id stream = create("orders", 4);
  line_->start();
  break_disk();
  for (int i = 0; i < 8; ++i)
    submit(door.fill(stream, 100));
  while (!line_->is_blocked(stream))
    std::this_thread::yield();
  const auto refused = line_->reshard("orders", 8);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.failure().code(), error_code::unavailable) << refused.failure().message();
  EXPECT_EQ(shards_of("orders").size(), 4u);
  ASSERT_TRUE(line_->delete_stream("orders").ok());
  door.wait_for(8);
  for (const record_batch* batch : door.finished_batches()) {
    EXPECT_EQ(batch->result, outcome::stream_not_found);
    EXPECT_EQ(batch->entries[0].result, outcome::stream_not_found);
  }
  EXPECT_FALSE(line_->is_blocked(stream));
}

TEST_F(pipeline_faults_test, stopping_while_blocked_ends_and_gives_back_what_is_not_durable) {
  open();
  test_door door(4);
  const stream_id stream = create("orders", 4);
  submit(door.fill(stream, 100));
  pump(door, 1);
  const auto durable = door.written();
  line_->start();
  break_disk();
  for (int i = 0; i < 8; ++i)
    submit(door.fill(stream, 100));
  line_->stop();
  ASSERT_EQ(door.finished_count(), 9u);
  for (std::size_t i = 1; i < 9; ++i) {
    EXPECT_EQ(door.finished_batches()[i]->result, outcome::shutting_down);
    EXPECT_EQ(door.finished_batches()[i]->entries[0].result, outcome::shutting_down);
  }
  expect_all_in_order("orders", durable);
}

TEST_F(pipeline_faults_test, a_stream_whose_log_cannot_be_made_does_not_exist) {
  open();
  test_door door(5);
  const stream_id stream = create("orders", 1);
  submit(door.fill(stream, 10));
  pump(door, 1);
  // The directory of the next stream is in the way.
  const std::string next = options_.data_directory + "/streams/" + std::to_string(stream.value + 1);
  ASSERT_TRUE(disk_->open(next, open_mode::create).ok());
  EXPECT_FALSE(line_->create_stream("second", 1, {}).ok());
  EXPECT_EQ(line_->describe("second").failure().code(), error_code::not_found);
  reopen();
  EXPECT_EQ(line_->list()->size(), 1u);
  expect_all_in_order("orders", door.written());
}

}  // namespace
}  // namespace millrace
