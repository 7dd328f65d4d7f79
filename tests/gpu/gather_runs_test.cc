// Runs gathered on the device against those that the host makes of the same routes: bytes and
// CRC32C. On the emulated machine, and on a real GPU.
#include <cstring>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "gpu/crc32c_shift.h"
#include "gpu/cuda_backend.h"
#include "tests/gpu/gpu_machine.h"
#include "tests/gpu/route_workload.h"

namespace millrace {
namespace {

TEST(Crc32cShift, joins_the_sums_of_pieces_of_any_length) {
  std::mt19937_64 random(1);
  const crc32c_powers powers = crc32c_powers::make();
  for (const std::size_t words : {0u, 1u, 2u, 31u, 32u, 33u, 1000u, 70'001u}) {
    std::vector<std::byte> bytes(8 * (words + 5));
    for (std::byte& one : bytes)
      one = static_cast<std::byte>(random());
    const auto [first, second] =
        std::pair(byte_view(bytes).first(40), byte_view(bytes).subspan(40));
    EXPECT_EQ(
        crc32c_shift(crc32c(first), static_cast<std::uint32_t>(words), powers) ^ crc32c(second),
        crc32c(bytes));
  }
}

constexpr cuda_options options{.slots = 2,
                               .kept_batches = 1,
                               .gathered_batches = 2,
                               .batch_bytes_max = 4 << 20,
                               .batch_records_max = 20'000};

class gather_runs_test : public testing::Test {
 protected:
  void start(bool find_races = false, const cuda_options& how = options) {
    backend_.reset();
    const std::string reason = start_machine(1, seed_, find_races);
    if (!reason.empty()) GTEST_SKIP() << reason;
    auto made = make_cuda_backend(how);
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
  route_job ask(route_workload& load, const shard_map& map) {
    route_job job = load.job(map);
    job.gather = true;
    return job;
  }
  void wait(route_job& job) {
    while (!backend_->poll(job)) {
    }
  }
  void expect_gathered(route_workload& load, const shard_map& map) {
    route_job job = ask(load, map);
    ASSERT_TRUE(backend_->submit(job));
    wait(job);
    load.expect_routed(map);
    ASSERT_NE(job.gathered, nullptr);
    expect_runs(load, *job.gathered);
  }
  /// What the host makes of the routes, which have their own oracle.
  static void expect_runs(const route_workload& load, const shard_runs& got) {
    std::vector<std::vector<std::byte>> runs(load.shard_records.size());
    for (std::size_t i = 0; i < load.records.size(); ++i) {
      std::vector<std::byte>& run = runs[load.shard[i]];  // ranks rise with i
      const record_ref& record = load.records[i];
      run.insert(run.end(), record.bytes, record.bytes + record.stride);
    }
    ASSERT_EQ(got.crc32c.size(), runs.size());
    std::size_t at = 0;
    for (std::size_t s = 0; s < runs.size(); ++s) {
      ASSERT_LE(at + runs[s].size(), got.bytes.size());
      ASSERT_TRUE(std::ranges::equal(got.bytes.subspan(at, runs[s].size()), runs[s]))
          << "run of shard " << s;
      ASSERT_EQ(got.crc32c[s], crc32c(runs[s])) << "shard " << s;
      at += runs[s].size();
    }
    EXPECT_EQ(at, got.bytes.size());
  }

  std::uint64_t seed_ = 1;
  bool lost_ = false;  // a lost device gives nothing back
  std::unique_ptr<backend> backend_;
};
#define START(...)    \
  start(__VA_ARGS__); \
  if (IsSkipped() || HasFatalFailure()) return

TEST_F(gather_runs_test, gives_the_runs_of_any_number_of_records_over_any_number_of_shards) {
  START();
  for (const std::size_t count : {0, 1, 31, 32, 33, 255, 256, 257, 2049, 15'000}) {
    auto load = route_workload::make(count, user_key, 7);
    for (const std::uint32_t shards : {1u, 4u, 256u, 257u, 20'000u}) {
      expect_gathered(load, shard_map::even(shards));
      if (HasFatalFailure()) FAIL() << count << " records, " << shards << " shards";
    }
  }
  EXPECT_EQ(backend_->health().batches_moved, 0u);
}

TEST_F(gather_runs_test, keeps_order_when_most_records_have_one_key_and_most_shards_none) {
  START();
  auto hot = route_workload::make(
      5000, [](std::size_t i) { return i % 10 == 3 ? user_key(i) : std::string("hot"); });
  auto one = route_workload::make(5000, [](std::size_t) { return std::string("only"); });
  for (const std::uint32_t shards : {1u, 4u, 256u, 1000u}) {
    expect_gathered(hot, shard_map::even(shards));
    expect_gathered(one, shard_map::even(shards));
  }
}

TEST_F(gather_runs_test, gathers_records_of_very_different_sizes) {
  START();
  auto load = route_workload::make(1500, [](std::size_t i) {
    return std::string(i % 50 == 0 ? 1024 : 1 + i % 40, static_cast<char>('a' + i % 26));
  });
  // A record of a few bytes between two of nearly a megabyte.
  std::vector<std::vector<std::byte>> more;
  for (const std::size_t data : {900'000u, 5u, 1'000'000u}) {
    auto& bytes = more.emplace_back(record_stride(3, data, false));
    write_record(bytes.data(), "key", std::vector<std::byte>(data, std::byte{0x77}), nullptr);
    load.records.push_back({.bytes = bytes.data(),
                            .stride = static_cast<std::uint32_t>(bytes.size()),
                            .key_bytes = 3});
  }
  for (const std::uint32_t shards : {1u, 16u, 300u})
    expect_gathered(load, shard_map::even(shards));
}

TEST_F(gather_runs_test, has_no_races) {
  START(true);
  auto load = route_workload::make(700, user_key, 5);
  for (const std::uint32_t shards : {1u, 5u, 300u})
    expect_gathered(load, shard_map::even(shards));
}

TEST_F(gather_runs_test, lends_runs_while_there_are_some_and_routes_without_them_then) {
  START();
  auto load = route_workload::make(300, user_key);
  const auto map = shard_map::even(4);
  std::vector<std::shared_ptr<const shard_runs>> held;
  for (int i = 0; i < 4; ++i) {
    route_job job = ask(load, map);
    ASSERT_TRUE(backend_->submit(job));
    wait(job);
    load.expect_routed(map);
    if (job.gathered) held.push_back(job.gathered);
  }
  EXPECT_EQ(held.size(), 2u);
  for (const auto& one : held)
    expect_runs(load, *one);
  held.clear();
  expect_gathered(load, map);
  route_job job = load.job(map);
  ASSERT_TRUE(backend_->submit(job));
  wait(job);
  EXPECT_EQ(job.gathered, nullptr) << "not asked for";
}

TEST_F(gather_runs_test, two_batches_at_once_do_not_disturb_each_other) {
  auto first = route_workload::make(3000, user_key);
  auto second = route_workload::make(200, user_key);
  const auto map = shard_map::even(50);
  for (seed_ = 1; seed_ <= 5; ++seed_) {
    START();
    route_job one = ask(first, map);
    route_job two = ask(second, map);
    ASSERT_TRUE(backend_->submit(one));
    ASSERT_TRUE(backend_->submit(two));
    wait(two);
    wait(one);
    ASSERT_NE(one.gathered, nullptr);
    ASSERT_NE(two.gathered, nullptr);
    expect_runs(first, *one.gathered);
    expect_runs(second, *two.gathered);
  }
}

TEST_F(gather_runs_test, costs_no_memory_where_it_is_off) {
  START();
  if (is_real_machine()) GTEST_SKIP() << "counted by the emulated machine alone";
  const std::uint64_t with = count_machine(-1).live_allocations;
  cuda_options off = options;
  off.gathered_batches = 0;
  START(false, off);
  EXPECT_EQ(with - count_machine(-1).live_allocations, 2u + 2u * options.slots);
  auto load = route_workload::make(300, user_key);
  const auto map = shard_map::even(4);
  route_job job = ask(load, map);
  ASSERT_TRUE(backend_->submit(job));
  wait(job);
  load.expect_routed(map);
  EXPECT_EQ(job.gathered, nullptr);
}

TEST_F(gather_runs_test, a_failed_step_moves_the_batch_to_the_cpu_which_gathers_none) {
  if (is_real_machine()) GTEST_SKIP() << "faults are injected into the emulated machine alone";
  // Hashing, three of multisplit's, then those of gathering.
  for (int after = 4; after < 7; ++after) {
    START();
    inject_fault(machine_fault::failed_launch, 0, after);
    auto load = route_workload::make(3000, user_key);
    const auto map = shard_map::even(4);
    route_job job = ask(load, map);
    ASSERT_TRUE(backend_->submit(job));
    wait(job);
    load.expect_routed(map);
    EXPECT_EQ(job.gathered, nullptr);
    EXPECT_EQ(backend_->health().batches_moved, 1u) << after;
    expect_gathered(load, map);
    expect_gathered(load, map);
  }
}

}  // namespace
}  // namespace millrace
