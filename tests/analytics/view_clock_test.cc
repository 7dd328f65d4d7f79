#include "analytics/view_clock.h"

#include <map>

#include <gtest/gtest.h>

namespace millrace {
namespace {

using kind = clock_decision::kind;
constexpr std::int64_t never = shard_clock::never;
constexpr std::int64_t second = 1'000'000;

/// A clock with a delay of one second and ten of idleness, driven block by block.
struct clock_fixture {
  /// A block that has one record of each shard, at these event times.
  void block(std::uint64_t arrival_us,
             const std::vector<std::pair<std::uint32_t, std::int64_t>>& records) {
    std::vector<shard_clock> clocks;
    for (const auto& [shard, time_us] : records)
      clocks.push_back(clock.begin_run(shard_index(shard)));
    for (std::size_t i = 0; i < records.size(); ++i) {
      clocks[i].newest_us = std::max(clocks[i].newest_us, records[i].second);
      const shard_index shard(records[i].first);
      missing += clock.end_run(shard, record_index(next[shard.value]++), 1, clocks[i], arrival_us);
    }
    clock.end_block(arrival_us);
  }
  std::vector<clock_decision> decide(std::uint64_t wall_us,
                                     std::optional<std::uint64_t> caught_up_us = 0) {
    auto taken = clock.decide(shards, wall_us, caught_up_us);
    clock.apply(taken);
    return taken;
  }
  static known_shard open(std::uint32_t shard, std::optional<std::uint32_t> parent = {}) {
    known_shard one;
    one.shard = shard_index(shard);
    if (parent) one.parent = shard_index(*parent);
    return one;
  }
  void close(std::uint32_t shard) {
    for (known_shard& one : shards) {
      if (one.shard.value != shard) continue;
      one.is_open = false;
      one.end = record_index(next[shard]);
    }
  }

  view_clock clock{second, 10 * second};
  std::vector<known_shard> shards{open(0), open(1)};
  std::map<std::uint32_t, std::uint64_t> next;
  std::uint64_t missing = 0;
};

TEST(view_clock, the_watermark_is_that_of_the_shard_that_is_furthest_behind) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}});
  EXPECT_EQ(test.clock.watermark_us(), never) << "shard 1 is open and has said nothing";
  test.block(200, {{1, 20 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 19 * second);
  test.block(300, {{0, 60 * second}, {1, 30 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 29 * second);
  test.block(400, {{1, 90 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 59 * second);
}

TEST(view_clock, a_shard_without_records_for_long_does_not_hold_the_others_while_blocks_come) {
  clock_fixture test;
  test.decide(3600 * second, std::nullopt);
  test.block(100, {{0, 50 * second}});
  test.block(100 + 10 * second, {{0, 51 * second}});
  EXPECT_EQ(test.clock.watermark_us(), never) << "ten seconds since the first block, no more";
  test.block(101 + 10 * second, {{0, 52 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 51 * second);
  EXPECT_EQ(test.clock.find(shard_index(1))->now, view_clock::phase::idle);
}

TEST(view_clock, a_shard_that_wakes_up_starts_at_the_views_watermark) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  test.block(200 + 10 * second, {{0, 80 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 79 * second);
  const shard_clock woken = test.clock.begin_run(shard_index(1));
  EXPECT_EQ(woken.floor_us, 79 * second);
  EXPECT_EQ(woken.newest_us, 40 * second);
  test.clock.end_run(shard_index(1), record_index(1), 1, {45 * second, woken.floor_us},
                     300 + 10 * second);
  test.clock.end_block(300 + 10 * second);
  test.block(400 + 10 * second, {{0, 90 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 79 * second) << "shard 1 counts again";
}

TEST(view_clock, silence_is_judged_by_the_wall_only_once_everything_is_folded) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  EXPECT_TRUE(test.decide(100 + 60 * second, std::nullopt).empty());
  EXPECT_TRUE(test.decide(99 + 10 * second).empty());
  const auto idle = test.decide(100 + 10 * second);
  ASSERT_EQ(idle.size(), 2u);
  EXPECT_EQ(idle[0].what, kind::idle);
  EXPECT_EQ(test.clock.watermark_us(), 39 * second) << "nobody counts: it stays";
}

TEST(view_clock, a_worker_that_has_just_started_gives_shards_time_to_speak) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  const std::uint64_t started_us = 3600 * second;
  EXPECT_TRUE(test.decide(started_us + 9 * second, started_us).empty());
  EXPECT_EQ(test.decide(started_us + 10 * second, started_us).size(), 2u);
}

TEST(view_clock, when_all_are_idle_time_goes_on_by_the_wall_from_the_newest_time) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  EXPECT_FALSE(test.clock.wall_watermark_us(100 + 20 * second, 0)) << "shards count";
  test.decide(100 + 10 * second);
  EXPECT_EQ(test.clock.wall_watermark_us(100 + 20 * second, 0), 69 * second);
  EXPECT_EQ(test.clock.wall_watermark_us(100 + 20 * second, 100 + 15 * second), 54 * second)
      << "not over the time in which there was no worker";
  const clock_decision wall{kind::wall, {}, 69 * second};
  test.clock.apply({&wall, 1});
  EXPECT_EQ(test.clock.watermark_us(), 69 * second);
  EXPECT_FALSE(test.clock.wall_watermark_us(100 + 20 * second, 0)) << "it never goes back";
}

TEST(view_clock, a_split_shard_hands_its_time_to_its_children) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 90 * second}});
  test.shards.push_back(test.open(2, 0));
  test.shards.push_back(test.open(3, 0));
  test.close(0);
  const auto taken = test.decide(200);
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0], (clock_decision{kind::close, shard_index(0)}));
  EXPECT_EQ(taken[1].what, kind::enter);
  EXPECT_EQ(taken[1].time_us, 50 * second);
  EXPECT_EQ(test.clock.watermark_us(), 49 * second);
  test.block(300, {{1, 95 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 49 * second) << "the children still hold it";
  test.block(400, {{2, 60 * second}, {3, 70 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 59 * second);
}

TEST(view_clock, children_wait_until_the_last_record_of_their_parents_is_folded) {
  clock_fixture test;
  test.shards.push_back(test.open(2, 0));
  test.next[0] = 5;
  test.close(0);
  test.next[0] = 0;
  const auto taken = test.decide(1, std::nullopt);
  ASSERT_EQ(taken.size(), 2u) << "0 has records to come and 1 is open";
  test.block(100, {{0, 50 * second}, {1, 60 * second}});
  EXPECT_EQ(test.clock.watermark_us(), 49 * second) << "2 does not hold it at nothing";
}

TEST(view_clock, records_that_are_missing_are_counted_from_where_a_shard_entered) {
  clock_fixture test;
  test.shards[0].horizon = record_index(100);
  test.shards[0].end = record_index(300);
  test.decide(1);
  test.next[0] = 100;
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  EXPECT_EQ(test.missing, 0u);
  test.next[0] += 7;
  test.block(200, {{0, 51 * second}});
  EXPECT_EQ(test.missing, 7u);
}

TEST(view_clock, what_is_saved_goes_on_as_if_nothing_had_been) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  test.block(200, {{1, 41 * second}});
  clock_fixture other;
  other.clock.restore(test.clock.save());
  other.next = test.next;
  for (clock_fixture* const one : {&test, &other}) {
    one->block(150 + 10 * second, {{1, 70 * second}});
    EXPECT_EQ(one->clock.watermark_us(), 69 * second) << "0 was silent for longer";
    EXPECT_EQ(one->missing, 0u);
  }
}

TEST(view_clock, closed_shards_are_forgotten_with_the_catalog) {
  clock_fixture test;
  test.decide(1);
  test.block(100, {{0, 50 * second}, {1, 40 * second}});
  test.close(0);
  test.decide(200);
  test.clock.forget_closed(test.shards);
  EXPECT_NE(test.clock.find(shard_index(0)), nullptr);
  test.shards.erase(test.shards.begin());
  test.clock.forget_closed(test.shards);
  EXPECT_EQ(test.clock.find(shard_index(0)), nullptr);
}

}  // namespace
}  // namespace millrace
