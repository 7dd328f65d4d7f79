// The lookup of a hash key among the ranges of the open shards.
#include "gpu/shard_map.h"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "gpu/md5.h"

namespace millrace {
namespace {

std::vector<shard_index> numbered(std::size_t count) {
  std::vector<shard_index> shards;
  for (std::uint32_t i = 0; i < count; ++i)
    shards.emplace_back(i);
  return shards;
}

std::uint32_t by_scan(const std::vector<uint128>& starts, uint128 hash_key) {
  const auto after = std::upper_bound(starts.begin(), starts.end(), hash_key);
  return static_cast<std::uint32_t>(after - starts.begin()) - 1;
}

uint128 random_key(std::mt19937_64& random) {
  return make_uint128(random(), random());
}

/// First and last point of every range, and points anywhere.
void expect_right(const shard_map& map) {
  const auto& starts = map.starts();
  for (std::uint32_t i = 0; i < map.size(); ++i) {
    const uint128 last = i + 1 < map.size() ? starts[i + 1] - 1 : uint128_max;
    ASSERT_EQ(map.find(starts[i]).value, i) << "first point, " << map.size() << " shards";
    ASSERT_EQ(map.find(last).value, i) << "last point, " << map.size() << " shards";
  }
  std::mt19937_64 random(map.size());
  for (int k = 0; k < 2000; ++k) {
    const uint128 key = random_key(random);
    ASSERT_EQ(map.find(key).value, by_scan(starts, key));
  }
}

TEST(shard_map, splits_the_hash_space_as_kinesis_does) {
  // What Kinesis answers to CreateStream with 3 and 4 shards.
  EXPECT_EQ(even_shard_start(1, 4), static_cast<uint128>(1) << 126);
  EXPECT_EQ(even_shard_start(3, 4), static_cast<uint128>(3) << 126);
  // 113427455640312821154458202477256070485 and its double
  const uint128 third = make_uint128(0x5555555555555555, 0x5555555555555555);
  EXPECT_EQ(even_shard_start(1, 3), third);
  EXPECT_EQ(even_shard_start(2, 3), 2 * third);
  EXPECT_EQ(even_shard_start(0, 1), 0u);
  const auto map = shard_map::even(3);
  EXPECT_EQ(map.find(2 * third - 1).value, 1u);
  EXPECT_EQ(map.find(uint128_max).value, 2u);
}

TEST(shard_map, routes_a_partition_key_as_an_independent_md5_says) {
  // md5("a") = 0cc175b9…, md5("b") = 92eb5ffe…, md5("c") = 4a8a08f0…, md5("e") = e1671797…
  const auto map = shard_map::even(4);
  const auto shard = [&](std::string_view key) {
    return map
        .find(md5(reinterpret_cast<const std::byte*>(key.data()),
                  static_cast<std::uint32_t>(key.size())))
        .value;
  };
  EXPECT_EQ(shard("a"), 0u);
  EXPECT_EQ(shard("b"), 2u);
  EXPECT_EQ(shard("c"), 1u);
  EXPECT_EQ(shard("e"), 3u);
}

TEST(shard_map, finds_every_boundary_of_an_even_split) {
  for (const std::uint32_t count : {1u, 2u, 3u, 4u, 5u, 7u, 63u, 64u, 65u, 255u, 256u, 257u, 1000u,
                                    4096u, limits::open_shards_max}) {
    expect_right(shard_map::even(count));
  }
}

TEST(shard_map, knows_the_range_of_each_buckets_first_point) {
  for (const std::uint32_t count : {1u, 3u, 4u, 64u, 1000u}) {
    const auto map = shard_map::even(count);
    const std::uint32_t bits = map.ranges().bucket_bits;
    for (std::uint32_t bucket = 0; bucket < 1u << bits; ++bucket) {
      const uint128 first_point = uint128{bucket} << (128 - bits);
      ASSERT_EQ(map.bucket_first()[bucket], by_scan(map.starts(), first_point)) << count;
    }
  }
}

TEST(shard_map, finds_every_boundary_of_ranges_of_any_size) {
  std::mt19937_64 random(7);
  for (const std::uint32_t count : {2u, 17u, 300u, 5000u}) {
    std::vector<uint128> starts = {0};
    // Most ranges in a sliver of the space, some a single point wide.
    for (std::uint32_t i = 1; i < count; ++i) {
      starts.push_back(i % 3 == 0   ? random_key(random)
                       : i % 3 == 1 ? make_uint128(0x8000000000000000, random() >> 40)
                                    : uint128_max - random() % (2 * count));
    }
    std::ranges::sort(starts);
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    const auto map = shard_map::create(starts, numbered(starts.size()));
    ASSERT_TRUE(map.ok());
    expect_right(*map);
  }
}

TEST(shard_map, keeps_the_shards_of_its_ranges) {
  const auto map =
      shard_map::create({0, 100, 200}, {shard_index(7), shard_index(3), shard_index(9)});
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->shard(map->find(99)).value, 7u);
  EXPECT_EQ(map->shard(map->find(100)).value, 3u);
  EXPECT_EQ(map->shard(map->find(uint128_max)).value, 9u);
}

TEST(shard_map, refuses_what_does_not_cover_the_space_once) {
  const auto message = [](std::vector<uint128> starts, std::size_t shards) {
    const auto map = shard_map::create(std::move(starts), numbered(shards));
    EXPECT_FALSE(map.ok());
    if (map.ok()) return std::string();
    EXPECT_EQ(map.failure().code(), error_code::invalid_argument);
    return map.failure().message();
  };
  EXPECT_EQ(message({}, 0), "shard map: no shards");
  EXPECT_EQ(message({0, 1}, 1), "shard map: 2 starting hash keys for 1 shards");
  EXPECT_EQ(message({1, 2}, 2), "shard map: the first range does not start at 0");
  EXPECT_EQ(message({0, 5, 5}, 3), "shard map: range 2 does not start after the one before it");
  EXPECT_EQ(message({0, 6, 5}, 3), "shard map: range 2 does not start after the one before it");
  std::vector<uint128> many(limits::open_shards_max + 1);
  for (std::size_t i = 0; i < many.size(); ++i)
    many[i] = i;
  EXPECT_EQ(message(many, many.size()), "shard map: 20001 open shards are over the limit of 20000");
}

}  // namespace
}  // namespace millrace
