#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

/// A log of `count` segments, each with a record of another size in shard 0.
void write_segments(log_fixture& test, int count) {
  for (int i = 0; i < count; ++i) {
    if (i != 0) test.kill();
    test.write({{0, std::to_string(i) + std::string(static_cast<std::size_t>(i) * 5000, '.')}});
  }
}

TEST(log_retention, no_more_of_the_oldest_segments_go_than_the_bytes_ask_for) {
  log_fixture test;
  write_segments(test, 5);
  const std::uint64_t all = test.log->bytes();
  EXPECT_EQ(test.log->drop_segments(0, 0), 0u) << "no bound";
  EXPECT_EQ(test.log->drop_segments(0, all), 0u) << "they fit exactly";
  EXPECT_EQ(test.read_all(0).size(), 5u);
  // Once a byte too much, then two segments' worth of it less that byte.
  const std::uint64_t first = test.log->drop_segments(0, all - 1);
  EXPECT_EQ(test.log->bytes(), all - first);
  EXPECT_EQ(test.log->trim_horizon(shard_index(0)).value, 1u);
  EXPECT_EQ(test.read_all(0).size(), 4u);
  const std::uint64_t second = test.memory.content(test.segment(2)).size();
  const std::uint64_t third = test.memory.content(test.segment(3)).size();
  EXPECT_LT(second, third);
  EXPECT_EQ(test.log->drop_segments(0, all - first - second - third), second + third);
  EXPECT_EQ(test.log->trim_horizon(shard_index(0)).value, 3u);
  EXPECT_EQ(test.read_all(0).size(), 2u);
  EXPECT_EQ(test.counters.get(counter::segments_deleted), 3u);
  test.log->drop_segments(0, 1);
  EXPECT_EQ(test.read_all(0).size(), 1u) << "the newest one goes for its age alone";
  for (std::uint64_t number = 1; number <= 5; ++number) {
    EXPECT_EQ(test.memory.content(test.segment(number)).empty(), number < 5) << number;
  }
}

TEST(log_retention, damage_is_counted_when_the_horizon_takes_an_index_built_anew) {
  log_fixture test;
  write_segments(test, 3);
  const std::uint64_t directory = log_format::directory_offset(1);
  test.memory.flip_bit(test.index(2), directory + 8, 0);
  test.memory.flip_bit(test.segment(2), test.newest_end(2) - 2 * 4096, 0);  // its only block
  test.poll();
  const std::uint64_t before = test.counters.get(counter::blocks_damaged);
  EXPECT_GT(test.log->drop_segments(0, test.log->bytes() - 1), 0u);
  test.poll();
  EXPECT_EQ(test.counters.get(counter::blocks_damaged), before + 1);
  EXPECT_EQ(test.log->trim_horizon(shard_index(0)).value, 1u) << "the snapshot knows it";
}

TEST(log_retention, the_newest_segment_goes_too_when_all_in_it_is_too_old) {
  log_fixture test;
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  test.submit(std::move(opening));
  auto one = std::make_unique<built_batch>();
  one->records_entry(who, epoch_number(1), record_number(0));
  one->record(shard_index(3), "k", "old");
  test.submit(std::move(one));
  EXPECT_EQ(test.log->drop_segments(test.wall_us + 1, 0), 0u) << "not while something is in flight";
  test.drain();
  EXPECT_EQ(test.log->drop_segments(test.wall_us, 0), 0u) << "not yet too old";
  EXPECT_GT(test.log->drop_segments(test.wall_us + 1, 0), 0u);
  EXPECT_EQ(test.log->drop_segments(test.wall_us + 1, 0), 0u) << "an empty one is enough";
  EXPECT_TRUE(test.memory.content(test.segment(1)).empty());
  EXPECT_LE(test.memory.content(test.segment(2)).size(), 3 * 4096u) << "reserves no room";
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(test.log->trim_horizon(shard_index(3)).value, 1u);
    EXPECT_EQ(test.log->next_index(shard_index(3)).value, 1u);
    EXPECT_EQ(test.log->producers().find(who)->next.value, 1u);
    EXPECT_TRUE(test.read_all(3).empty());
    test.kill();
    EXPECT_TRUE(test.report.damaged.empty());
  }
  test.write({{3, "new"}});
  EXPECT_EQ(test.read_all(3), texts{"new"});
  EXPECT_EQ(test.log->next_index(shard_index(3)).value, 2u);
  test.reopen();
  EXPECT_EQ(test.read_all(3), texts{"new"});
  EXPECT_TRUE(test.verify().empty());
}

}  // namespace
}  // namespace millrace
