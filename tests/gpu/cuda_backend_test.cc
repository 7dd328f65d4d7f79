// The CUDA backend against the oracle of routes: on the emulated machine, with faults, and the same
// tests on a real GPU.
#include "gpu/cuda_backend.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tests/gpu/gpu_machine.h"
#include "tests/gpu/route_workload.h"

namespace millrace {
namespace {

constexpr cuda_options small{
    .slots = 2, .kept_batches = 2, .batch_bytes_max = 1 << 20, .batch_records_max = 20'000};

class cuda_backend_test : public testing::Test {
 protected:
  void start(const cuda_options& options = small, int devices = 1, bool find_races = false) {
    backend_.reset();
    const std::string reason = start_machine(devices, seed_, find_races);
    if (!reason.empty()) GTEST_SKIP() << reason;
    auto made = make_cuda_backend(options);
    ASSERT_TRUE(made.ok()) << made.failure().message();
    backend_ = *std::move(made);
  }
  void TearDown() override {
    backend_.reset();
    EXPECT_EQ(machine_findings(), "");
    if (!lost_) {
      EXPECT_EQ(count_machine(-1).live_allocations, 0u);
    }
  }

  void wait(route_job& job) {
    while (!backend_->poll(job)) {
    }
  }
  void expect_right(route_workload& load, const shard_map& map) {
    route_job job = load.job(map);
    ASSERT_TRUE(backend_->submit(job));
    wait(job);
    load.expect_routed(map);
  }

  std::uint64_t seed_ = 1;
  bool lost_ = false;  // a lost device gives nothing back
  std::unique_ptr<backend> backend_;
};
#define START(...)    \
  start(__VA_ARGS__); \
  if (IsSkipped() || HasFatalFailure()) return

TEST_F(cuda_backend_test, partitions_any_number_of_records_stably) {
  START();
  for (const std::size_t count : {0, 1, 31, 32, 33, 255, 256, 257, 2047, 2048, 2049, 5000}) {
    auto load = route_workload::make(count, user_key);
    for (const std::uint32_t shards : {1u, 4u, 256u, 257u}) {
      expect_right(load, shard_map::even(shards));
      if (HasFatalFailure()) FAIL() << count << " records, " << shards << " shards";
    }
  }
  EXPECT_EQ(backend_->health().batches_moved, 0u);
}

TEST_F(cuda_backend_test, partitions_a_large_batch_over_few_and_over_thousands_of_shards) {
  START();
  auto load = route_workload::make(15'000, user_key);
  for (const std::uint32_t shards : {3u, 4096u, 20'000u})
    expect_right(load, shard_map::even(shards));
}

TEST_F(cuda_backend_test, keeps_order_when_most_records_have_one_key) {
  START();
  auto hot = route_workload::make(
      5000, [](std::size_t i) { return i % 10 == 3 ? user_key(i) : std::string("hot"); });
  auto one = route_workload::make(5000, [](std::size_t) { return std::string("only"); });
  for (const std::uint32_t shards : {1u, 4u, 256u, 1000u}) {
    expect_right(hot, shard_map::even(shards));
    expect_right(one, shard_map::even(shards));
  }
}

TEST_F(cuda_backend_test, routes_keys_of_every_length_and_explicit_hash_keys) {
  START();
  auto every_length = route_workload::make(2000, [](std::size_t i) {
    return std::string(1 + i * 31 % 1024, static_cast<char>('a' + i % 26));
  });
  expect_right(every_length, shard_map::even(64));
  for (const std::size_t every : {1u, 2u, 7u}) {
    auto load = route_workload::make(600, user_key, every);
    expect_right(load, shard_map::even(256));
  }
}

TEST_F(cuda_backend_test, has_no_races) {
  START(small, 1, true);
  auto load = route_workload::make(2500, user_key, 5);
  for (const std::uint32_t shards : {1u, 5u, 300u})
    expect_right(load, shard_map::even(shards));
}

TEST_F(cuda_backend_test, reads_scattered_records_at_any_address_out_of_registered_memory) {
  for (const std::size_t shift : {0u, 1u, 2u, 5u}) {
    auto load = route_workload::make(3000, user_key, 3, shift);
    cuda_options options = small;
    options.transfer = cuda_transfer::loaded;
    options.record_memory = load.bytes;
    START(options);
    expect_right(load, shard_map::even(16));
    // Records that lie elsewhere are copied.
    auto other = route_workload::make(100, user_key);
    expect_right(other, shard_map::even(16));
    EXPECT_EQ(backend_->health().batches_moved, 0u);
    backend_.reset();  // before its record memory
  }
}

TEST_F(cuda_backend_test, holds_as_many_jobs_as_it_has_slots_and_ends_them_in_any_order) {
  START();
  auto first = route_workload::make(3000, user_key);
  auto second = route_workload::make(50, user_key);
  auto third = route_workload::make(10, user_key);
  const auto map = shard_map::even(4);
  const auto other_map = shard_map::even(7);
  route_job one = first.job(map);
  route_job two = second.job(other_map);
  route_job three = third.job(map);
  EXPECT_FALSE(backend_->poll(one));
  ASSERT_TRUE(backend_->submit(one));
  ASSERT_TRUE(backend_->submit(two));
  EXPECT_FALSE(backend_->submit(three));
  wait(two);
  EXPECT_FALSE(backend_->poll(two));
  ASSERT_TRUE(backend_->submit(three));
  wait(three);
  wait(one);
  first.expect_routed(map);
  second.expect_routed(other_map);
  third.expect_routed(map);
}

TEST_F(cuda_backend_test, forgets_shard_maps_and_learns_them_again) {
  START();
  std::vector<shard_map> maps;
  for (std::uint32_t shards = 1; shards <= 40; ++shards)
    maps.push_back(shard_map::even(shards));
  auto load = route_workload::make(64, user_key);
  for (int round = 0; round < 2; ++round)
    for (const shard_map& map : maps)
      expect_right(load, map);
}

TEST_F(cuda_backend_test, routes_by_a_map_that_another_batch_has_just_sent) {
  auto first = route_workload::make(300, user_key);
  auto second = route_workload::make(200, user_key);
  for (seed_ = 1; seed_ <= 10; ++seed_) {
    START();
    const auto map = shard_map::even(50);
    route_job one = first.job(map);
    route_job two = second.job(map);
    ASSERT_TRUE(backend_->submit(one));
    ASSERT_TRUE(backend_->submit(two));
    wait(two);
    wait(one);
    first.expect_routed(map);
    second.expect_routed(map);
  }
}

TEST_F(cuda_backend_test, allocates_nothing_and_waits_for_nothing_after_create) {
  START();
  if (is_real_machine()) GTEST_SKIP() << "counted by the emulated machine alone";
  const machine_counts before = count_machine(-1);
  auto load = route_workload::make(5000, user_key);
  for (const std::uint32_t shards : {4u, 5000u})
    expect_right(load, shard_map::even(shards));
  const machine_counts after = count_machine(-1);
  EXPECT_GT(after.launches, before.launches);
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.synchronising, before.synchronising);
}

TEST_F(cuda_backend_test, gives_batches_that_are_too_large_to_the_cpu) {
  START();
  auto many = route_workload::make(20'001, user_key);
  expect_right(many, shard_map::even(4));
  auto wide = route_workload::make(1100, [](std::size_t) { return std::string(1024, 'k'); });
  expect_right(wide, shard_map::even(4));
  EXPECT_EQ(backend_->health().batches_moved, 2u);
  EXPECT_EQ(backend_->health().fault, "");
}

TEST_F(cuda_backend_test, keeps_as_many_batches_as_there_is_room_for) {
  START();
  auto load = route_workload::make(100, user_key);
  const auto map = shard_map::even(4);
  std::vector<std::shared_ptr<const device_batch>> kept;
  for (int i = 0; i < 4; ++i) {
    route_job job = load.job(map);
    job.keep = true;
    ASSERT_TRUE(backend_->submit(job));
    wait(job);
    load.expect_routed(map);
    if (job.kept) kept.push_back(job.kept);
  }
  EXPECT_EQ(kept.size(), 2u);
  kept.clear();
  route_job job = load.job(map);
  ASSERT_TRUE(backend_->submit(job));
  wait(job);
  EXPECT_EQ(job.kept, nullptr) << "not asked for";
  job.keep = true;
  ASSERT_TRUE(backend_->submit(job));
  wait(job);
  EXPECT_NE(job.kept, nullptr);
}

TEST_F(cuda_backend_test, spreads_batches_over_two_devices) {
  START(small, 2);
  if (is_real_machine()) GTEST_SKIP() << "counted by the emulated machine alone";
  auto load = route_workload::make(500, user_key);
  for (int i = 0; i < 4; ++i)
    expect_right(load, shard_map::even(4));
  EXPECT_GT(count_machine(0).launches, 0u);
  EXPECT_EQ(count_machine(0).launches, count_machine(1).launches);
  EXPECT_NE(backend_->describe().find("2 devices"), std::string::npos);
}

class cuda_fault_test : public cuda_backend_test {
 protected:
  void SetUp() override {
    if (is_real_machine()) GTEST_SKIP() << "faults are injected into the emulated machine alone";
  }
};

TEST_F(cuda_fault_test, a_failed_launch_costs_a_batch_nothing_and_the_device_goes_on) {
  for (int after = 0; after < 4; ++after) {
    START();
    inject_fault(machine_fault::failed_launch, 0, after);
    auto load = route_workload::make(3000, user_key);
    for (int i = 0; i < 3; ++i)
      expect_right(load, shard_map::even(4));
    EXPECT_EQ(backend_->health().batches_moved, 1u) << after;
    EXPECT_EQ(backend_->health().faults, 1u);
    EXPECT_NE(backend_->health().fault.find("too many resources"), std::string::npos)
        << backend_->health().fault;
  }
}

TEST_F(cuda_fault_test, a_kernel_that_dies_takes_its_device_and_no_batch) {
  lost_ = true;
  START();
  auto first = route_workload::make(3000, user_key);
  auto second = route_workload::make(200, user_key);
  const auto map = shard_map::even(4);
  inject_fault(machine_fault::failed_kernel, 0, 1);
  route_job one = first.job(map);
  route_job two = second.job(map);
  ASSERT_TRUE(backend_->submit(one));
  ASSERT_TRUE(backend_->submit(two));
  wait(one);
  wait(two);
  first.expect_routed(map);
  second.expect_routed(map);
  expect_right(first, map);
  EXPECT_NE(backend_->health().fault.find("device 0 is lost"), std::string::npos)
      << backend_->health().fault;
  EXPECT_EQ(backend_->health().batches_moved, 3u);
}

TEST_F(cuda_fault_test, a_device_lost_at_any_moment_loses_nothing) {
  lost_ = true;
  for (int after = 0; after < 40; ++after) {
    START(small, 2);
    inject_fault(machine_fault::lost_device, 0, after);
    auto load = route_workload::make(500, user_key);
    auto other = route_workload::make(90, user_key);
    const auto map = shard_map::even(300);
    for (int i = 0; i < 4; ++i) {
      route_job one = load.job(map);
      route_job two = other.job(map);
      ASSERT_TRUE(backend_->submit(one));
      ASSERT_TRUE(backend_->submit(two));
      wait(two);
      wait(one);
      load.expect_routed(map);
      other.expect_routed(map);
    }
    if (HasFailure()) FAIL() << "after " << after;
  }
}

TEST_F(cuda_fault_test, holds_as_many_jobs_as_ever_when_every_device_is_lost) {
  lost_ = true;
  START();
  inject_fault(machine_fault::lost_device, 0, 0);
  auto first = route_workload::make(300, user_key);
  auto second = route_workload::make(50, user_key);
  const auto map = shard_map::even(4);
  route_job one = first.job(map);
  route_job two = second.job(map);
  route_job three = second.job(map);
  ASSERT_TRUE(backend_->submit(one));
  ASSERT_TRUE(backend_->submit(two));
  EXPECT_FALSE(backend_->submit(three));
  wait(one);
  wait(two);
  first.expect_routed(map);
}

TEST_F(cuda_fault_test, memory_that_is_not_there_at_the_start_is_an_error_that_says_how_much) {
  for (int after = 0; after < 20; ++after) {
    ASSERT_EQ(start_machine(1, 1, false), "");
    inject_fault(machine_fault::out_of_memory, 0, after);
    const auto made = make_cuda_backend(small);
    if (made.ok()) continue;
    EXPECT_NE(made.failure().message().find("bytes of "), std::string::npos)
        << made.failure().message();
    EXPECT_NE(made.failure().message().find("out of memory"), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace
