// The contract of backend.h, held against a naive oracle.
#include "gpu/backend.h"

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/cpu_backend.h"
#include "gpu/md5.h"

namespace millrace {
namespace {

/// Records in memory of their own, and the outputs of a job over them.
struct workload {
  std::vector<std::byte> bytes;
  std::vector<record_ref> records;
  std::vector<std::uint16_t> shard;
  std::vector<std::uint32_t> rank;
  std::vector<std::uint32_t> shard_records;
  std::vector<std::uint64_t> shard_bytes;

  /// `key(i)` is record i's partition key; every `explicit_every`-th one has a hash key of its own.
  template <class Key>
  static workload make(std::size_t count, Key key, std::size_t explicit_every = 0) {
    workload load;
    std::mt19937_64 random(count);
    std::vector<std::size_t> offsets;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string text = key(i);
      const std::vector<std::byte> data(random() % 60);
      const uint128 hash_key = make_uint128(random(), random());
      const bool has_hash_key = explicit_every != 0 && i % explicit_every == 0;
      offsets.push_back(load.bytes.size());
      load.bytes.resize(load.bytes.size() + record_stride(text.size(), data.size(), has_hash_key));
      write_record(&load.bytes[offsets.back()], text, data, has_hash_key ? &hash_key : nullptr);
    }
    for (const std::size_t offset : offsets) {
      const record_view view(&load.bytes[offset]);
      load.records.push_back(
          {.bytes = view.bytes(),
           .stride = view.stride(),
           .key_bytes = static_cast<std::uint16_t>(view.key().size()),
           .flags = static_cast<std::uint8_t>(view.has_hash_key() ? record_has_hash_key : 0)});
    }
    return load;
  }

  route_job job(const shard_map& map) {
    shard.assign(records.size(), 0xffff);
    rank.assign(records.size(), ~0u);
    shard_records.assign(map.size(), ~0u);
    shard_bytes.assign(map.size(), ~0ull);
    return {.records = records,
            .map = &map,
            .shard = shard,
            .rank = rank,
            .shard_records = shard_records,
            .shard_bytes = shard_bytes};
  }
};

class cpu_backend_test : public testing::TestWithParam<simd_level> {
 protected:
  void SetUp() override {
    if (!has_simd(GetParam())) GTEST_SKIP() << "this CPU lacks " << to_string(GetParam());
    backend_ = std::make_unique<cpu_backend>(GetParam());
  }

  void expect_right(workload& load, const shard_map& map) {
    route_job job = load.job(map);
    ASSERT_TRUE(backend_->submit(job));
    ASSERT_TRUE(backend_->poll(job));
    std::vector<std::uint32_t> records(map.size());
    std::vector<std::uint64_t> bytes(map.size());
    for (std::size_t i = 0; i < load.records.size(); ++i) {
      const record_view view = load.records[i].view();
      const uint128 hash_key = view.has_hash_key()
                                   ? view.hash_key()
                                   : md5(reinterpret_cast<const std::byte*>(view.key().data()),
                                         static_cast<std::uint32_t>(view.key().size()));
      std::uint32_t shard = map.size() - 1;
      if (map.size() < 300) {
        while (map.starts()[shard] > hash_key)
          --shard;
      } else {
        shard = map.find(hash_key).value;
      }
      ASSERT_EQ(load.shard[i], shard) << "record " << i;
      ASSERT_EQ(load.rank[i], records[shard]) << "record " << i;
      ++records[shard];
      bytes[shard] += load.records[i].stride;
    }
    EXPECT_EQ(load.shard_records, records);
    EXPECT_EQ(load.shard_bytes, bytes);
  }

  std::unique_ptr<cpu_backend> backend_;
};

INSTANTIATE_TEST_SUITE_P(levels, cpu_backend_test,
                         testing::Values(simd_level::scalar, simd_level::avx2, simd_level::avx512),
                         [](const auto& one) { return std::string(to_string(one.param)); });

std::string user(std::size_t i) {
  return "user-" + std::to_string(i * 7919 % 100'003);
}

TEST_P(cpu_backend_test, partitions_any_number_of_records_stably) {
  for (const std::size_t count : {0, 1, 31, 32, 33, 255, 256, 257, 287, 288, 289, 10'000}) {
    auto load = workload::make(count, user);
    for (const std::uint32_t shards : {1u, 2u, 4u, 255u, 256u, 257u}) {
      expect_right(load, shard_map::even(shards));
    }
  }
}

TEST_P(cpu_backend_test, partitions_a_large_batch_over_few_and_over_thousands_of_shards) {
  auto load = workload::make(100'000, user);
  for (const std::uint32_t shards : {4u, 4096u, 20'000u}) {
    expect_right(load, shard_map::even(shards));
  }
}

TEST_P(cpu_backend_test, keeps_order_when_most_records_have_one_key) {
  auto hot = workload::make(5000, [](std::size_t i) { return i % 10 == 3 ? user(i) : "hot"; });
  auto one = workload::make(5000, [](std::size_t) { return std::string("only"); });
  for (const std::uint32_t shards : {1u, 4u, 256u}) {
    expect_right(hot, shard_map::even(shards));
    expect_right(one, shard_map::even(shards));
  }
}

TEST_P(cpu_backend_test, takes_explicit_hash_keys_before_partition_keys) {
  for (const std::size_t every : {1u, 2u, 7u, 300u}) {
    auto load = workload::make(1500, user, every);
    expect_right(load, shard_map::even(256));
  }
}

TEST_P(cpu_backend_test, routes_keys_of_every_length) {
  auto load = workload::make(3000, [](std::size_t i) {
    return std::string(1 + i * 31 % 1024, static_cast<char>('a' + i % 26));
  });
  expect_right(load, shard_map::even(64));
}

TEST_P(cpu_backend_test, routes_by_uneven_ranges) {
  const auto map =
      shard_map::create({0, 1, make_uint128(1, 0), uint128_max},
                        {shard_index(0), shard_index(4), shard_index(2), shard_index(3)});
  ASSERT_TRUE(map.ok());
  auto load = workload::make(2000, user, 3);
  expect_right(load, *map);
}

TEST_P(cpu_backend_test, holds_one_job_until_it_is_polled) {
  auto first = workload::make(10, user);
  auto second = workload::make(10, user);
  const auto map = shard_map::even(4);
  route_job one = first.job(map);
  route_job two = second.job(map);
  EXPECT_FALSE(backend_->poll(one));
  ASSERT_TRUE(backend_->submit(one));
  EXPECT_FALSE(backend_->submit(two));
  EXPECT_FALSE(backend_->poll(two));
  EXPECT_TRUE(backend_->poll(one));
  EXPECT_FALSE(backend_->poll(one));
  EXPECT_TRUE(backend_->submit(two));
  EXPECT_TRUE(backend_->poll(two));
}

TEST_P(cpu_backend_test, says_what_it_is) {
  EXPECT_EQ(backend_->describe(), "cpu (" + std::string(to_string(GetParam())) + ")");
}

TEST(make_backend, gives_the_cpu_where_it_is_asked_for) {
  const auto made = make_backend("cpu");
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->describe().starts_with("cpu ("));
}

TEST(make_backend, gives_the_best_there_is_for_auto) {
  const auto made = make_backend("auto");
  ASSERT_TRUE(made.ok());
  const auto cuda = make_backend("cuda");
  EXPECT_EQ((*made)->describe().starts_with("cuda ("), cuda.ok());
  EXPECT_EQ((*made)->describe().starts_with("cpu ("), !cuda.ok());
}

TEST(make_backend, refuses_what_it_cannot_give) {
  const auto cuda = make_backend("cuda");
  if (!cuda.ok()) {
    EXPECT_EQ(cuda.failure().code(), error_code::unsupported);
    EXPECT_TRUE(cuda.failure().message().starts_with("backend 'cuda': "));
  }
  const auto other = make_backend("gpu");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.failure().code(), error_code::invalid_argument);
}

}  // namespace
}  // namespace millrace
