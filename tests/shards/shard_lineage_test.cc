#include "shards/shard_lineage.h"

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::uint32_t now_s = 1'700'000'000;

stream_description stream_of(std::uint32_t shards) {
  stream_description made{.id = stream_id(1),
                          .name = "orders",
                          .created_us = 0,
                          .retention = {},
                          .shards = {},
                          .next_shard = shard_index(shards)};
  for (std::uint32_t i = 0; i < shards; ++i) {
    made.shards.push_back(
        {.shard = shard_index(i),
         .hash_first = even_shard_start(i, shards),
         .hash_last = i + 1 < shards ? even_shard_start(i + 1, shards) - 1 : uint128_max,
         .created_s = now_s - 10});
  }
  return made;
}

/// What must hold after any change, whatever it was.
void expect_sound(const stream_description& before, const stream_description& after) {
  std::map<shard_index, shard_info> known;
  for (const shard_info& shard : after.shards) {
    ASSERT_TRUE(known.emplace(shard.shard, shard).second) << "an index twice";
    ASSERT_LT(shard.shard, after.next_shard);
    ASSERT_LE(shard.hash_first, shard.hash_last);
    if (shard.shard >= before.next_shard) {
      ASSERT_TRUE(shard.parent.has_value());
    }
    uint128 parents_first = uint128_max;
    uint128 parents_last = 0;
    for (const auto& parent : {shard.parent, shard.adjacent_parent}) {
      if (!parent.has_value()) continue;
      const shard_info& of = known.at(*parent);  // a parent comes before its children
      EXPECT_FALSE(of.is_open());
      EXPECT_GT(shard.created_s, of.created_s);
      EXPECT_GE(shard.created_s, *of.closed_s);
      parents_first = std::min(parents_first, of.hash_first);
      parents_last = std::max(parents_last, of.hash_last);
    }
    if (shard.parent.has_value()) {
      EXPECT_GE(shard.hash_first, parents_first);
      EXPECT_LE(shard.hash_last, parents_last);
    }
  }
  for (const shard_info& shard : before.shards) {
    const shard_info& now = known.at(shard.shard);
    EXPECT_EQ(now.hash_first, shard.hash_first);
    if (!shard.is_open()) {
      EXPECT_EQ(now, shard);
    }
  }
  // open_map() checks that the open shards cover the hash space.
  EXPECT_GE(after.open_map().size(), 1u);
}

std::vector<uint128> even_starts(std::uint32_t count) {
  std::vector<uint128> starts;
  for (std::uint32_t i = 0; i < count; ++i)
    starts.push_back(even_shard_start(i, count));
  return starts;
}

TEST(shard_lineage, shards_are_named_as_kinesis_names_them) {
  EXPECT_EQ(shard_name(shard_index(12)), "shardId-000000000012");
}

TEST(shard_lineage, a_split_shard_has_two_children) {
  const stream_description before = stream_of(2);
  const uint128 middle = uint128_max / 4;
  const auto after = split_shard(before, shard_index(0), middle, now_s);
  ASSERT_TRUE(after.ok()) << after.failure().message();
  expect_sound(before, *after);
  ASSERT_EQ(after->shards.size(), 4u);
  EXPECT_EQ(after->shards[0].closed_s, now_s);
  EXPECT_EQ(after->shards[2].hash_last, middle - 1);
  EXPECT_EQ(after->shards[3].hash_first, middle);
  EXPECT_EQ(after->shards[3].parent, shard_index(0));
  EXPECT_EQ(after->shards[3].adjacent_parent, std::nullopt);
  EXPECT_EQ(after->next_shard, shard_index(4));
}

TEST(shard_lineage, the_split_point_lies_strictly_inside) {
  const stream_description before = stream_of(2);
  const uint128 start = before.shards[1].hash_first;
  for (const uint128 bad : {uint128(0), start - 1, start, start + 1, uint128_max}) {
    const auto refused = split_shard(before, shard_index(1), bad, now_s);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.failure().code(), error_code::invalid_argument);
    EXPECT_NE(refused.failure().message().find("340282366920938463463374607431768211455"),
              std::string::npos)
        << refused.failure().message();
  }
  EXPECT_TRUE(split_shard(before, shard_index(1), start + 2, now_s).ok());
  EXPECT_TRUE(split_shard(before, shard_index(1), uint128_max - 1, now_s).ok());
}

TEST(shard_lineage, only_open_shards_that_exist_are_split_or_merged) {
  const stream_description before = stream_of(2);
  EXPECT_EQ(split_shard(before, shard_index(9), 5, now_s).failure().code(), error_code::not_found);
  const auto split = split_shard(before, shard_index(0), uint128_max / 4, now_s);
  const auto again = split_shard(*split, shard_index(0), uint128_max / 4, now_s);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.failure().message().find("already been merged or split"), std::string::npos);
  EXPECT_FALSE(merge_shards(*split, shard_index(0), shard_index(1), now_s).ok());
}

TEST(shard_lineage, adjacent_shards_merge_in_either_order_and_others_do_not) {
  const stream_description before = stream_of(4);
  for (const auto& [one, other] : {std::pair(1u, 2u), std::pair(2u, 1u)}) {
    const auto after = merge_shards(before, shard_index(one), shard_index(other), now_s);
    ASSERT_TRUE(after.ok()) << after.failure().message();
    expect_sound(before, *after);
    EXPECT_EQ(after->shards[4].parent, shard_index(1));
    EXPECT_EQ(after->shards[4].adjacent_parent, shard_index(2));
    EXPECT_EQ(after->open_map().size(), 3u);
  }
  EXPECT_FALSE(merge_shards(before, shard_index(0), shard_index(2), now_s).ok());
  EXPECT_FALSE(merge_shards(before, shard_index(0), shard_index(3), now_s).ok());
  EXPECT_FALSE(merge_shards(before, shard_index(1), shard_index(1), now_s).ok());
}

TEST(shard_lineage, a_child_of_a_parent_of_this_very_second_is_of_the_next) {
  stream_description before = stream_of(1);
  before.shards[0].created_s = now_s;
  const auto once = split_shard(before, shard_index(0), uint128_max / 2, now_s);
  EXPECT_EQ(once->shards[1].created_s, now_s + 1);
  const auto twice = merge_shards(*once, shard_index(1), shard_index(2), now_s);
  EXPECT_EQ(twice->shards[3].created_s, now_s + 2);
  expect_sound(*once, *twice);
}

TEST(shard_lineage, resharding_ends_at_the_exact_even_split) {
  stream_description stream = stream_of(4);
  std::uint32_t second = now_s;
  for (const std::uint32_t count : {1u, 4u, 7u, 6u, 64u, 63u, 1000u, 1u, 2u}) {
    const auto after = reshard_evenly(stream, count, ++second);
    ASSERT_TRUE(after.ok()) << after.failure().message();
    expect_sound(stream, *after);
    EXPECT_EQ(after->open_map().starts(), even_starts(count)) << count;
    stream = *after;
  }
}

TEST(shard_lineage, resharding_after_arbitrary_splits_and_merges_ends_at_the_even_split) {
  std::mt19937 random(7);
  for (int round = 0; round < 30; ++round) {
    stream_description stream = stream_of(1 + random() % 8);
    for (int change = 0; change < 20; ++change) {
      std::vector<shard_info> open;
      for (const shard_info& shard : stream.shards) {
        if (shard.is_open()) open.push_back(shard);
      }
      const shard_info& one = open[random() % open.size()];
      const shard_info& other = open[random() % open.size()];
      const auto after =
          random() % 2 == 0
              ? split_shard(stream, one.shard,
                            one.hash_first + (one.hash_last - one.hash_first) / (2 + random() % 5),
                            now_s)
              : merge_shards(stream, one.shard, other.shard, now_s);
      if (!after.ok()) continue;
      expect_sound(stream, *after);
      stream = *after;
    }
    const std::uint32_t count = 1 + random() % 40;
    const auto after = reshard_evenly(stream, count, now_s);
    ASSERT_TRUE(after.ok());
    expect_sound(stream, *after);
    EXPECT_EQ(after->open_map().starts(), even_starts(count));
  }
}

TEST(shard_lineage, an_unchanged_range_stays_open_and_the_count_is_bounded) {
  const stream_description before = stream_of(6);
  EXPECT_EQ(reshard_evenly(before, 6, now_s)->shards, before.shards);
  EXPECT_FALSE(reshard_evenly(before, 0, now_s).ok());
  EXPECT_FALSE(reshard_evenly(before, limits::open_shards_max + 1, now_s).ok());
  EXPECT_EQ(reshard_evenly(before, limits::open_shards_max, now_s)->open_map().size(),
            limits::open_shards_max);
}

}  // namespace
}  // namespace millrace
