// The contract of backend.h, held against a naive oracle.
#include "gpu/backend.h"

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/cpu_backend.h"
#include "tests/gpu/route_workload.h"

namespace millrace {
namespace {

class cpu_backend_test : public testing::TestWithParam<simd_level> {
 protected:
  void SetUp() override {
    if (!has_simd(GetParam())) GTEST_SKIP() << "this CPU lacks " << to_string(GetParam());
    backend_ = std::make_unique<cpu_backend>(GetParam());
  }

  void expect_right(route_workload& load, const shard_map& map) {
    route_job job = load.job(map);
    ASSERT_TRUE(backend_->submit(job));
    ASSERT_TRUE(backend_->poll(job));
    load.expect_routed(map);
  }

  std::unique_ptr<cpu_backend> backend_;
};

INSTANTIATE_TEST_SUITE_P(levels, cpu_backend_test,
                         testing::Values(simd_level::scalar, simd_level::avx2, simd_level::avx512),
                         [](const auto& one) { return std::string(to_string(one.param)); });

TEST_P(cpu_backend_test, partitions_any_number_of_records_stably) {
  for (const std::size_t count : {0, 1, 31, 32, 33, 255, 256, 257, 287, 288, 289, 10'000}) {
    auto load = route_workload::make(count, user_key);
    for (const std::uint32_t shards : {1u, 2u, 4u, 255u, 256u, 257u}) {
      expect_right(load, shard_map::even(shards));
    }
  }
}

TEST_P(cpu_backend_test, partitions_a_large_batch_over_few_and_over_thousands_of_shards) {
  auto load = route_workload::make(100'000, user_key);
  for (const std::uint32_t shards : {4u, 4096u, 20'000u}) {
    expect_right(load, shard_map::even(shards));
  }
}

TEST_P(cpu_backend_test, keeps_order_when_most_records_have_one_key) {
  auto hot =
      route_workload::make(5000, [](std::size_t i) { return i % 10 == 3 ? user_key(i) : "hot"; });
  auto one = route_workload::make(5000, [](std::size_t) { return std::string("only"); });
  for (const std::uint32_t shards : {1u, 4u, 256u}) {
    expect_right(hot, shard_map::even(shards));
    expect_right(one, shard_map::even(shards));
  }
}

TEST_P(cpu_backend_test, takes_explicit_hash_keys_before_partition_keys) {
  for (const std::size_t every : {1u, 2u, 7u, 300u}) {
    auto load = route_workload::make(1500, user_key, every);
    expect_right(load, shard_map::even(256));
  }
}

TEST_P(cpu_backend_test, routes_keys_of_every_length) {
  auto load = route_workload::make(3000, [](std::size_t i) {
    return std::string(1 + i * 31 % 1024, static_cast<char>('a' + i % 26));
  });
  expect_right(load, shard_map::even(64));
}

TEST_P(cpu_backend_test, routes_by_uneven_ranges) {
  const auto map =
      shard_map::create({0, 1, make_uint128(1, 0), uint128_max},
                        {shard_index(0), shard_index(4), shard_index(2), shard_index(3)});
  ASSERT_TRUE(map.ok());
  auto load = route_workload::make(2000, user_key, 3);
  expect_right(load, *map);
}

TEST_P(cpu_backend_test, holds_one_job_until_it_is_polled) {
  auto first = route_workload::make(10, user_key);
  auto second = route_workload::make(10, user_key);
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
