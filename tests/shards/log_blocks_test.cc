// Reading a log block by block, in log order.
#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

/// What a block holds: "shard:index data".
texts records_of(const log_block& block) {
  texts all;
  for (const block_run& run : block.runs) {
    byte_view rest = run.bytes;
    for (std::uint32_t i = 0; i < run.record_count; ++i) {
      const record_view record(rest.data());
      all.push_back(std::to_string(run.shard.value) + ":" +
                    std::to_string(run.first.next(i).value) + " " +
                    std::string(reinterpret_cast<const char*>(record.data().data()),
                                record.data().size()));
      rest = rest.subspan(record.stride());
    }
    EXPECT_TRUE(rest.empty());
  }
  return all;
}

/// Follows a log and remembers where it is.
struct follower {
  texts take(const stream_log& log) {
    texts all;
    while (true) {
      auto step = log.next_block(at, pass_unreadable);
      EXPECT_TRUE(step.ok()) << step.failure().message();
      if (!step.ok()) return all;
      damaged.insert(damaged.end(), step->damaged.begin(), step->damaged.end());
      dropped = dropped || step->dropped;
      EXPECT_GE(step->next, at);
      at = step->next;
      if (!step->block) return all;
      EXPECT_GE(step->block->arrival_us, newest_us);
      newest_us = step->block->arrival_us;
      EXPECT_LE(newest_us, step->newest_us);
      const texts more = records_of(*step->block);
      all.insert(all.end(), more.begin(), more.end());
      ++blocks;
    }
  }
  log_position at;
  bool pass_unreadable = false;
  std::uint64_t newest_us = 0;
  std::uint64_t blocks = 0;
  std::vector<damage> damaged;
  bool dropped = false;
};

log_options small_segments(std::uint64_t hot_tail_bytes) {
  log_options options;
  options.segment_bytes = 64 * 1024;
  options.hot_tail_bytes = hot_tail_bytes;
  return options;
}

TEST(log_blocks, an_empty_log_has_none_and_the_first_one_shows_up) {
  log_fixture test;
  follower reader;
  EXPECT_TRUE(reader.take(*test.log).empty());
  test.write({{3, "a"}, {1, "b"}, {3, "c"}});
  EXPECT_EQ(reader.take(*test.log), (texts{"1:0 b", "3:0 a", "3:1 c"}));
  test.write({{1, "d"}});
  EXPECT_EQ(reader.take(*test.log), (texts{"1:1 d"}));
  EXPECT_TRUE(reader.take(*test.log).empty());
  EXPECT_EQ(reader.blocks, 2u);
}

TEST(log_blocks, only_what_is_durable_is_shown) {
  log_fixture test;
  test.write({{0, "first"}});
  follower reader;
  EXPECT_EQ(reader.take(*test.log).size(), 1u);
  test.memory.hold_writes(true);
  test.submit({{0, "second"}});
  test.poll();
  EXPECT_TRUE(reader.take(*test.log).empty());
  test.memory.hold_writes(false);
  test.drain();
  EXPECT_EQ(reader.take(*test.log), (texts{"0:1 second"}));
}

TEST(log_blocks, a_new_block_comes_out_of_memory_and_an_old_one_from_the_disk) {
  log_fixture test;
  auto left = std::make_shared<int>(7);
  auto one = std::make_unique<built_batch>();
  one->raw_entry();
  one->record(shard_index(0), "key", "a");
  one->batch().device = {left, reinterpret_cast<const device_batch*>(left.get())};
  built_batch& batch = test.submit(std::move(one));
  test.drain();
  EXPECT_EQ(batch.batch().device, nullptr) << "it has moved to the block";
  const auto hot = test.log->next_block({}, false);
  ASSERT_TRUE(hot.ok() && hot->block);
  EXPECT_EQ(static_cast<const void*>(hot->block->device.get()), left.get());
  test.poll();
  EXPECT_EQ(test.counters.get(counter::disk_bytes_read), 0u);

  test.reopen();
  const auto cold = test.log->next_block({}, false);
  ASSERT_TRUE(cold.ok() && cold->block);
  EXPECT_EQ(cold->block->device, nullptr);
  EXPECT_EQ(records_of(*cold->block), records_of(*hot->block));
  EXPECT_EQ(cold->block->at, hot->block->at);
  EXPECT_EQ(cold->block->arrival_us, hot->block->arrival_us);
  EXPECT_EQ(cold->block->record_bytes, hot->block->record_bytes);
  test.poll();
  EXPECT_GT(test.counters.get(counter::disk_bytes_read), 0u);
}

TEST(log_blocks, a_follower_a_replay_and_a_reader_after_a_restart_see_the_same_over_segments) {
  for (const std::uint64_t hot_bytes : {std::uint64_t{0}, 16 * limits::mib}) {
    log_fixture test(small_segments(hot_bytes));
    follower live;
    texts seen;
    for (int i = 0; i < 100; ++i) {
      test.wall_us += 1000;
      test.write({{static_cast<std::uint32_t>(i % 3), std::string(5000, '.') + std::to_string(i)}});
      if (i % 7 != 0) continue;
      const texts more = live.take(*test.log);
      seen.insert(seen.end(), more.begin(), more.end());
    }
    const texts more = live.take(*test.log);
    seen.insert(seen.end(), more.begin(), more.end());
    EXPECT_EQ(seen.size(), 100u);
    EXPECT_GT(test.names().size(), 8u);
    follower replay;
    EXPECT_EQ(replay.take(*test.log), seen);
    EXPECT_EQ(replay.at, live.at);
    EXPECT_EQ(test.log->bytes_after(live.at), 0u);

    test.reopen();
    EXPECT_TRUE(live.take(*test.log).empty()) << "the position is still the end";
    test.write({{9, "after"}});
    EXPECT_GT(test.log->bytes_after(live.at), 0u);
    EXPECT_EQ(live.take(*test.log), (texts{"9:0 after"}));
    seen.emplace_back("9:0 after");
    follower again;
    EXPECT_EQ(again.take(*test.log), seen);
    EXPECT_FALSE(again.dropped || live.dropped);
    EXPECT_TRUE(again.damaged.empty());
  }
}

TEST(log_blocks, a_failed_write_leaves_no_hole_and_shows_nothing_twice) {
  log_fixture test;
  test.write({{0, "before"}});
  follower reader;
  reader.take(*test.log);
  test.plan.failing_writes = 2;
  test.submit({{0, "one"}});
  test.submit({{0, "two"}});
  test.poll();
  EXPECT_TRUE(reader.take(*test.log).empty());
  test.drain(1000);
  EXPECT_EQ(reader.take(*test.log), (texts{"0:1 one", "0:2 two"}));
  test.crash(256);
  EXPECT_TRUE(reader.take(*test.log).empty());
  EXPECT_EQ(follower().take(*test.log), (texts{"0:0 before", "0:1 one", "0:2 two"}));
}

TEST(log_blocks, damage_is_reported_and_passed_over) {
  log_fixture test(small_segments(0));
  for (int i = 0; i < 6; ++i)
    test.write({{0, "a" + std::to_string(i)}, {1, "b" + std::to_string(i)}});
  std::vector<log_position> starts;
  for (log_position at;;) {
    const auto step = test.log->next_block(at, false);
    ASSERT_TRUE(step.ok());
    if (!step->block) break;
    starts.push_back(step->block->at);
    at = step->next;
  }
  ASSERT_EQ(starts.size(), 6u);
  test.memory.flip_bit(test.segment(1), starts[1].offset, 3);            // magic
  test.memory.flip_bit(test.segment(1), starts[3].offset + 128 + 5, 0);  // run table
  test.memory.flip_bit(test.segment(1), starts[4].offset + 128 + 64 + 12, 0);  // first run
  follower reader;
  EXPECT_EQ(reader.take(*test.log),
            (texts{"0:0 a0", "1:0 b0", "0:2 a2", "1:2 b2", "1:4 b4", "0:5 a5", "1:5 b5"}));
  ASSERT_EQ(reader.damaged.size(), 3u);
  EXPECT_EQ(reader.damaged[0].what, "block header is damaged");
  EXPECT_EQ(reader.damaged[0].from, starts[1].offset);
  EXPECT_EQ(reader.damaged[0].to, starts[2].offset);
  EXPECT_NE(reader.damaged[1].what.find("run table"), std::string::npos);
  EXPECT_EQ(reader.damaged[2].what, "shard 0: records 4..4: checksum is wrong");
  test.poll();
  EXPECT_EQ(test.counters.get(counter::blocks_damaged), 3u);
}

TEST(log_blocks, what_cannot_be_read_now_is_an_error_until_the_reader_gives_it_up) {
  log_fixture test(small_segments(0));
  test.write({{0, "a"}});
  test.write({{0, "b"}});
  test.write({{0, "c"}});
  const auto first = test.log->next_block({}, false);
  ASSERT_TRUE(first.ok() && first->block);
  test.plan.bad_suffix = ".segment";
  test.plan.bad_from = first->next.offset;
  test.plan.bad_to = first->next.offset + 512;
  const auto failed = test.log->next_block(first->next, false);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.failure().code(), error_code::io);
  follower reader;
  reader.pass_unreadable = true;
  EXPECT_EQ(reader.take(*test.log), (texts{"0:0 a", "0:2 c"}));
  EXPECT_EQ(reader.damaged.size(), 1u);
}

TEST(log_blocks, a_position_that_retention_dropped_goes_on_at_the_oldest_block) {
  log_fixture test(small_segments(0));
  follower slow;
  follower quick;
  for (int i = 0; i < 60; ++i) {
    test.wall_us += 1'000'000;
    test.write({{0, std::to_string(i) + std::string(5000, '.')}});
    if (i == 0) slow.take(*test.log);
    if (i == 58) quick.take(*test.log);
  }
  EXPECT_GT(test.log->drop_segments(0, 150'000), 0u);
  const std::uint64_t horizon = test.log->trim_horizon(shard_index(0)).value;
  ASSERT_GT(horizon, 1u);
  const texts rest = slow.take(*test.log);
  EXPECT_TRUE(slow.dropped);
  ASSERT_EQ(rest.size(), 60 - horizon);
  EXPECT_EQ(rest[0].substr(0, 5), "0:" + std::to_string(horizon) + " ");
  EXPECT_EQ(quick.take(*test.log).size(), 1u);
  EXPECT_FALSE(quick.dropped);
  follower fresh;
  EXPECT_EQ(fresh.take(*test.log), rest);
  EXPECT_FALSE(fresh.dropped) << "it asked for the oldest";
}

TEST(log_blocks, a_position_beyond_the_end_is_refused) {
  log_fixture test;
  follower reader;
  test.options.ack = durability::written;
  test.reopen();
  test.write({{0, "a"}});
  reader.take(*test.log);
  log_position beyond = reader.at;
  beyond.offset += 4096;
  EXPECT_EQ(test.log->next_block(beyond, false).failure().code(), error_code::corrupt);
  beyond.segment = beyond.segment.next();
  EXPECT_EQ(test.log->next_block(beyond, false).failure().code(), error_code::corrupt);
}

}  // namespace
}  // namespace millrace
