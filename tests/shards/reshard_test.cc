#include <algorithm>
#include <atomic>
#include <thread>

#include "pipeline_fixture.h"
#include "shards/pipeline.h"

namespace millrace {
namespace {

/// Records keep flowing while shards change; a reader that takes parents before children must find
/// every key's records once and in order.
class reshard_test : public pipeline_fixture {
 protected:
  /// Feeds `stream` from a thread of its own until stop_feeding().
  void feed(test_door& door, stream_id stream) {
    feeding_ = true;
    feeder_ = std::thread([this, &door, stream] {
      while (feeding_) {
        record_batch& batch = door.fill(stream, 40);
        ++fed_;
        while (!line_->submit(batch))
          std::this_thread::yield();
        // Not faster than the log, so that the test ends with thousands of records, not millions.
        while (door.finished_count() + 8 < fed_)
          std::this_thread::yield();
      }
    });
  }
  void stop_feeding(test_door& door) {
    feeding_ = false;
    feeder_.join();
    door.wait_for(fed_);
    for (const record_batch* batch : door.finished_batches()) {
      EXPECT_EQ(batch->result, outcome::committed);
    }
  }
  /// Lets some records through, so that each generation of shards has some.
  void let_flow(const test_door& door) {
    const std::size_t enough = door.finished_count() + 10;
    while (door.finished_count() < enough)
      std::this_thread::yield();
  }
  std::vector<shard_info> open_shards(const std::string& name) {
    std::vector<shard_info> open;
    for (const shard_info& shard : shards_of(name)) {
      if (shard.is_open()) open.push_back(shard);
    }
    std::ranges::sort(open, {}, &shard_info::hash_first);
    return open;
  }

  std::thread feeder_;
  std::atomic<bool> feeding_{false};
  std::atomic<std::size_t> fed_{0};
};

TEST_F(reshard_test, resharding_while_records_flow_loses_and_reorders_nothing) {
  open();
  test_door door(11, 500);
  const stream_id stream = create("orders", 4);
  line_->start();
  feed(door, stream);
  for (const std::uint32_t count : {8u, 3u, 100u, 1u, 5u}) {
    let_flow(door);
    const auto changed = line_->reshard("orders", count);
    ASSERT_TRUE(changed.ok()) << changed.failure().message();
    const auto open = open_shards("orders");
    ASSERT_EQ(open.size(), count);
    for (std::uint32_t i = 0; i < count; ++i) {
      EXPECT_EQ(open[i].hash_first, even_shard_start(i, count));
    }
  }
  let_flow(door);
  stop_feeding(door);
  expect_all_in_order("orders", door.written());
  reopen();
  expect_all_in_order("orders", door.written());
}

TEST_F(reshard_test, splits_and_merges_while_records_flow_lose_and_reorder_nothing) {
  open();
  test_door door(12, 500);
  const stream_id stream = create("orders", 2);
  const stream_id other = create("other", 1);
  test_door other_door(13);
  line_->start();
  feed(door, stream);
  std::mt19937 random(99);
  for (int change = 0; change < 20; ++change) {
    let_flow(door);
    const auto open = open_shards("orders");
    const std::size_t at = random() % open.size();
    if (open.size() < 4 || random() % 2 == 0) {
      const uint128 middle = open[at].hash_first + (open[at].hash_last - open[at].hash_first) / 3;
      EXPECT_TRUE(line_->split("orders", open[at].shard, middle).ok());
    } else if (at + 1 < open.size()) {
      EXPECT_TRUE(line_->merge("orders", open[at + 1].shard, open[at].shard).ok());
    }
    submit(other_door.fill(other, 5));
  }
  stop_feeding(door);
  other_door.wait_for(20);
  expect_all_in_order("orders", door.written());
  expect_all_in_order("other", other_door.written());
  reopen();
  expect_all_in_order("orders", door.written());
  for (const shard_info& shard : shards_of("orders")) {
    for (const auto& parent : {shard.parent, shard.adjacent_parent}) {
      if (parent.has_value()) {
        EXPECT_LT(*parent, shard.shard);
      }
    }
  }
}

TEST_F(reshard_test, the_sequence_numbers_of_a_child_are_above_its_parents) {
  open();
  test_door door(14);
  const stream_id stream = create("orders", 1);
  for (std::size_t round = 0; round < 3; ++round) {
    submit(door.fill(stream, 20));
    pump(door, round + 1);
    ASSERT_TRUE(line_->reshard("orders", round % 2 == 0 ? 2 : 1).ok());
  }
  std::map<shard_index, std::uint32_t> created_s;
  for (const shard_info& shard : shards_of("orders")) {
    created_s[shard.shard] = shard.created_s;
    if (shard.parent.has_value()) {
      EXPECT_GT(shard.created_s, created_s.at(*shard.parent));
    }
  }
  for (const record_batch* batch : door.finished_batches()) {
    for (const auto& run : batch->runs)
      EXPECT_EQ(run.created_s, created_s.at(run.shard));
  }
}

TEST_F(reshard_test, a_change_that_is_refused_changes_nothing) {
  open();
  test_door door(15);
  const stream_id stream = create("orders", 4);
  const auto before = shards_of("orders");
  const auto refused = line_->split("orders", shard_index(0), 0);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.failure().code(), error_code::invalid_argument);
  EXPECT_NE(refused.failure().message().find("orders"), std::string::npos);
  EXPECT_EQ(line_->split("orders", shard_index(7), 5).failure().code(), error_code::not_found);
  EXPECT_FALSE(line_->merge("orders", shard_index(0), shard_index(2)).ok());
  EXPECT_FALSE(line_->reshard("orders", 0).ok());
  EXPECT_FALSE(line_->reshard("orders", 20'001).ok());
  EXPECT_EQ(line_->reshard("none", 2).failure().code(), error_code::not_found);
  EXPECT_EQ(shards_of("orders"), before);
  // And the stream goes on.
  submit(door.fill(stream, 100));
  pump(door, 1);
  expect_all_in_order("orders", door.written());
}

TEST_F(reshard_test, batches_that_wait_go_to_the_new_shards) {
  open();
  test_door door(16);
  const stream_id stream = create("orders", 1);
  for (int i = 0; i < 5; ++i)
    submit(door.fill(stream, 50));
  ASSERT_TRUE(line_->reshard("orders", 2).ok());
  for (int i = 0; i < 5; ++i)
    submit(door.fill(stream, 50));
  pump(door, 10);
  expect_all_in_order("orders", door.written());
  for (const auto& run : door.finished_batches().back()->runs)
    EXPECT_GT(run.shard, shard_index(0));
}

}  // namespace
}  // namespace millrace
