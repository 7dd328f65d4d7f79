// The fold on a device against the oracle (fold_oracle.h), on the emulated machine and, the same,
// on a real GPU.
#include "gpu/cuda_fold.h"

#include <thread>

#include "gpu/cuda_backend.h"
#include "gpu/shard_map.h"
#include "gpu/window_math.h"
#include "tests/gpu/filter_plans.h"
#include "tests/gpu/fold_stream.h"
#include "tests/gpu/gpu_machine.h"

namespace millrace::testing {
namespace {

view_plan with_window(view_plan plan, window_kind kind, std::int64_t size_us, std::int64_t hop_us,
                      std::int64_t offset_us = 0) {
  plan.window = {.kind = kind, .size_us = size_us, .hop_us = hop_us, .offset_us = offset_us};
  return plan;
}

/// Count, sum, min, max and avg of a number, by one key.
view_plan simple_plan() {
  view_plan plan = stream_plan();
  std::erase_if(plan.aggregates, [](const aggregate_plan& one) {
    return one.kind == aggregate_kind::stddev || one.kind == aggregate_kind::first ||
           one.kind == aggregate_kind::last;
  });
  return plan;
}

result<std::unique_ptr<window_fold>> make(std::vector<view_plan> plans) {
  return make_cuda_fold(std::move(plans),
                        {.devices_max = 16, .block_bytes_max = 1 << 20, .block_records_max = 4096});
}

class CudaFold : public ::testing::Test {
 protected:
  void run(const std::vector<view_plan>& plans, const stream_options& of, const run_options& how,
           int devices = 1, bool find_races = false) {
    const std::string reason = start_machine(devices, of.seed, find_races);
    if (!reason.empty()) GTEST_SKIP() << reason;
    expect_as_oracle(make, plans, of, how);
    EXPECT_EQ(machine_findings(), "");
  }
};

TEST_F(CudaFold, tumbling_windows_are_what_the_oracle_says) {
  for (const std::uint32_t records : {0u, 1u, 31u, 32u, 33u, 255u, 256u, 257u, 1500u}) {
    SCOPED_TRACE(records);
    run({simple_plan()}, {.seed = records, .records = records, .shards = 3},
        {.block_records = {300}, .read_open_every = 3});
    if (HasFatalFailure() || IsSkipped()) return;
  }
}

/// One of each kind of window, and of each kind of key.
std::vector<view_plan> many_plans() {
  std::vector<view_plan> plans;
  plans.push_back(stream_plan());
  plans.push_back(with_window(stream_plan({}), window_kind::tumbling, 70'000, 70'000, 33));
  plans.push_back(with_window(stream_plan({text_f}), window_kind::hopping, 90'000, 30'000, 7));
  plans.push_back(with_window(stream_plan({key_f, flag_f}), window_kind::session, 15'000, 0));
  plans.push_back(with_window(stream_plan({group_f, int_f, real_f, flag_f}), window_kind::hopping,
                              50'000, 25'000));
  plans[1].time_field.reset();
  plans[2].delay_us = 10'000;
  for (std::size_t i = 0; i < plans.size(); ++i)
    plans[i].name = "v" + std::to_string(i);
  return plans;
}
std::vector<view_plan> sketch_plans() {
  std::vector<view_plan> plans = many_plans();
  for (view_plan& plan : plans)
    add_sketches(plan);
  return plans;
}

TEST_F(CudaFold, windows_of_all_kinds_are_what_the_oracle_says) {
  run(many_plans(), {.records = 1200, .shards = 3}, {.block_records = {100}, .read_open_every = 5});
}

TEST_F(CudaFold, sketches_are_what_the_oracle_says) {
  run(sketch_plans(), {.records = 1000, .groups = 3}, {.read_open_every = 4});
  run(sketch_plans(), {.seed = 7, .records = 500, .is_special = true}, {});
}

TEST_F(CudaFold, goes_on_from_a_snapshot_as_if_nothing_had_been) {
  run(sketch_plans(), {.records = 1000, .shards = 4}, {.snapshot_every = 3, .read_open_every = 4});
}

TEST_F(CudaFold, skewed_keys_of_up_to_256_bytes_many_shards_and_blocks_of_all_sizes) {
  run(many_plans(),
      {.records = 2000,
       .shards = 40,
       .groups = 700,
       .is_skewed = true,
       .key_bytes_max = 256,
       .disorder_us = 200'000,
       .future_per_mille = 10},
      {.block_records = {1, 31, 32, 33, 255, 256, 257, 1000}});
}

TEST_F(CudaFold, two_devices_have_parts_of_one_window) {
  run(sketch_plans(), {.records = 1000, .shards = 3, .groups = 20},
      {.block_records = {70}, .snapshot_every = 5, .read_open_every = 4, .counts_groups = false},
      2);
}

TEST_F(CudaFold, every_filter_takes_what_the_oracle_says) {
  const stream_options half_null{
      .records = 300, .shards = 2, .groups = 4, .null_percent = 40, .is_special = true};
  for (const std::vector<filter_plan>& all : {every_comparison(), every_combination()}) {
    // In parts: a view has memory of its own on the device.
    constexpr std::size_t part = 12;
    for (std::size_t from = 0; from < all.size(); from += part) {
      const std::size_t to = std::min(all.size(), from + part);
      run(filtered_plans({all.begin() + static_cast<std::ptrdiff_t>(from),
                          all.begin() + static_cast<std::ptrdiff_t>(to)}),
          half_null, {.block_records = {300}});
      if (HasFatalFailure() || IsSkipped()) return;
    }
  }
}

TEST_F(CudaFold, has_no_races) {
  run({sketch_plans()[0], sketch_plans()[2]}, {.records = 150, .shards = 2, .groups = 4},
      {.block_records = {75}}, 1, true);
}

// --- what routing left on the device -------------------------------------------------------------

/// Routes the records and keeps them; the block that the log makes of them, whose bytes, but for
/// their number, are gone: what the fold knows of them is on the device.
struct routed_block {
  stream_cutter::block block;       ///< as the log has it
  std::vector<fold_run> bare_runs;  ///< the same without its bytes
  std::vector<std::byte> nothing;
  std::shared_ptr<const device_batch> device;

  void make(backend& router, const shard_map& map, const std::vector<stream_record>& stream,
            std::vector<std::uint64_t>& numbers) {
    std::vector<record_ref> records;
    for (const stream_record& one : stream) {
      const record_view view(one.bytes.data());
      records.push_back({.bytes = view.bytes(),
                         .stride = view.stride(),
                         .key_bytes = static_cast<std::uint16_t>(view.key().size()),
                         .flags = 0});
    }
    std::vector<std::uint16_t> shard(records.size());
    std::vector<std::uint32_t> rank(records.size());
    std::vector<std::uint32_t> shard_records(map.size());
    std::vector<std::uint64_t> shard_bytes(map.size());
    route_job job{.records = records,
                  .map = &map,
                  .shard = shard,
                  .rank = rank,
                  .shard_records = shard_records,
                  .shard_bytes = shard_bytes,
                  .keep = true};
    ASSERT_TRUE(router.submit(job));
    while (!router.poll(job))
      std::this_thread::yield();
    device = std::move(job.kept);
    for (std::uint16_t s = 0; s < map.size(); ++s) {
      if (shard_records[s] == 0) continue;
      std::vector<const stream_record*> order(shard_records[s]);
      for (std::size_t i = 0; i < records.size(); ++i) {
        if (shard[i] == s) order[rank[i]] = &stream[i];
      }
      std::vector<std::byte>& bytes = block.bytes.emplace_back();
      for (const stream_record* one : order)
        bytes.insert(bytes.end(), one->bytes.begin(), one->bytes.end());
      const shard_index index = map.shard(shard_ordinal(s));
      block.runs.push_back(
          {index, record_index(numbers[s]), static_cast<std::uint32_t>(order.size()), bytes});
      numbers[s] += order.size();
    }
    block.arrival_us = 1'700'000'000'500'000;
    bare_runs = block.runs;
    for (const fold_run& run : bare_runs)
      nothing.resize(std::max(nothing.size(), run.bytes.size()));
    for (fold_run& run : bare_runs)
      run.bytes = byte_view(nothing).first(run.bytes.size());
  }
};

void expect_folds_what_routing_left(int devices) {
  const std::string reason = start_machine(devices, 5, false);
  if (!reason.empty()) GTEST_SKIP() << reason;
  cuda_options options;
  options.slots = 2;
  options.kept_batches = 2;
  options.batch_bytes_max = 1 << 18;
  options.batch_records_max = 2048;
  const auto router = make_cuda_backend(options);
  ASSERT_TRUE(router.ok()) << router.failure().message();
  std::vector<view_plan> plans = sketch_plans();
  std::erase_if(plans,
                [](const view_plan& one) { return one.window.kind == window_kind::session; });
  const auto fold = make(plans);
  ASSERT_TRUE(fold.ok()) << fold.failure().message();
  const shard_map map = shard_map::even(5);
  std::vector<std::uint64_t> numbers(map.size());
  std::vector<view_oracle> oracles(plans.begin(), plans.end());
  std::vector<view_clocks> clocks(plans.size());
  std::vector<view_clocks> oracle_clocks(plans.size());
  const std::vector<stream_record> stream = make_stream({.records = 600, .groups = 30});
  for (std::size_t at = 0; at < stream.size(); at += 150) {
    const std::vector<stream_record> some(stream.begin() + static_cast<std::ptrdiff_t>(at),
                                          stream.begin() + static_cast<std::ptrdiff_t>(at + 150));
    routed_block one;
    one.make(**router, map, some, numbers);
    ASSERT_NE(one.device, nullptr);
    stream_cutter::block bare{
        .bytes = {}, .runs = one.bare_runs, .arrival_us = one.block.arrival_us};
    std::vector<fold_job::view_part> parts(plans.size());
    ASSERT_NO_FATAL_FAILURE(fold_block(**fold, bare, clocks, parts, one.device));
    for (std::uint32_t v = 0; v < plans.size(); ++v) {
      const fold_job::view_part expected = oracle_block(oracles[v], one.block, oracle_clocks[v]);
      expect_counts(expected.counts, parts[v].counts);
      ASSERT_TRUE(std::ranges::equal(parts[v].late, expected.late, is_equal));
    }
  }
  for (std::uint32_t v = 0; v < plans.size(); ++v) {
    window_rows rows;
    ASSERT_TRUE((*fold)->close(v, 1ll << 61, rows).ok());
    expect_rows(oracles[v].close(1ll << 61), rows, plans[v]);
  }
  EXPECT_EQ(machine_findings(), "");
}

TEST_F(CudaFold, takes_the_records_that_routing_left_on_the_device) {
  expect_folds_what_routing_left(1);
}

TEST_F(CudaFold, takes_them_on_whichever_device_has_them) {
  expect_folds_what_routing_left(2);
}

// --- limits --------------------------------------------------------------------------------------

/// One view over a stream of one shard, fed by hand.
class CudaFoldLimits : public CudaFold {
 protected:
  /// Folds records of those (time, group) as one block and gives what it did.
  fold_counts fold(const view_plan& plan,
                   const std::vector<std::pair<std::int64_t, std::int32_t>>& records) {
    EXPECT_TRUE(check(plan).ok());
    auto made = make({plan});
    EXPECT_TRUE(made.ok()) << made.failure().message();
    fold_ = *std::move(made);
    std::vector<stream_record> stream;
    for (const auto& [time_us, group] : records) {
      std::byte data[45] = {};
      store(data, time_us);
      store(data + 8, group);
      store(data + 12, std::int64_t{group});
      stream_record record;
      record.bytes.resize(record_stride(1, sizeof data, false));
      write_record(record.bytes.data(), "k", data, nullptr);
      stream.push_back(std::move(record));
    }
    stream_cutter cutter(stream, {static_cast<std::uint32_t>(stream.size())},
                         1'700'000'000'000'000);
    stream_cutter::block block;
    EXPECT_TRUE(cutter.next(block));
    std::vector<fold_job::view_part> parts(1);
    std::vector<view_clocks> clocks(1);
    fold_block(*fold_, block, clocks, parts);
    return parts[0].counts;
  }
  std::unique_ptr<window_fold> fold_;
};

TEST_F(CudaFoldLimits, groups_past_the_limit_are_left_out_and_counted_and_the_others_go_on) {
  for (std::uint64_t seed = 1; seed < 9; ++seed) {
    fold_.reset();  // before the machine that it is on
    const std::string reason = start_machine(1, seed, false);
    if (!reason.empty()) GTEST_SKIP() << reason;
    view_plan plan = stream_plan();
    plan.groups_max = 10;
    std::vector<std::pair<std::int64_t, std::int32_t>> records;
    for (int turn = 0; turn < 2; ++turn) {
      for (std::int32_t group = 0; group < 25; ++group)
        records.emplace_back(1'000'000, group);
    }
    const fold_counts counts = fold(plan, records);
    EXPECT_EQ(counts.folded, 20u);
    EXPECT_EQ(counts.left_out, 30u);
    EXPECT_EQ(fold_->size(0).groups, 10u);
  }
}

TEST_F(CudaFoldLimits, times_far_apart_make_no_more_windows_than_the_limit) {
  const std::string reason = start_machine(1, 2, false);
  if (!reason.empty()) GTEST_SKIP() << reason;
  view_plan plan = stream_plan();
  plan.windows_max = 16;
  plan.delay_us = window_us_max;
  std::vector<std::pair<std::int64_t, std::int32_t>> records;
  for (int i = 0; i < 700; ++i)
    records.emplace_back(i * 100'000, 1);
  const fold_counts counts = fold(plan, records);
  EXPECT_EQ(counts.folded, 16u);
  EXPECT_EQ(counts.left_out, 684u);
  EXPECT_EQ(fold_->size(0).windows, 16u);
}

TEST_F(CudaFoldLimits, state_stays_within_its_bytes) {
  for (const std::vector<std::uint16_t>& key :
       {std::vector<std::uint16_t>{group_f}, std::vector<std::uint16_t>{group_f, text_f}}) {
    fold_.reset();
    const std::string reason = start_machine(1, 3, false);
    if (!reason.empty()) GTEST_SKIP() << reason;
    view_plan plan = stream_plan(key);
    add_sketches(plan);
    plan.state_bytes_max = 256 * 1024;
    std::vector<std::pair<std::int64_t, std::int32_t>> records;
    for (std::int32_t i = 0; i < 4000; ++i)
      records.emplace_back(1'000'000, i % 1500);
    const fold_counts counts = fold(plan, records);
    EXPECT_GT(counts.folded, 0u);
    EXPECT_GT(counts.left_out, 0u);
    EXPECT_EQ(counts.folded + counts.left_out, 4000u);
    EXPECT_LE(fold_->size(0).bytes, plan.state_bytes_max);
    window_rows rows;
    ASSERT_TRUE(fold_->close(0, event_time_max_us, rows).ok());
    std::uint64_t folded = 0;
    for (std::size_t i = 0; i < rows.rows.size(); ++i)
      folded += rows.values[i * plan.aggregates.size()].bits;
    EXPECT_EQ(folded, counts.folded);
  }
}

TEST_F(CudaFoldLimits, the_top_rows_of_each_window_are_kept) {
  view_plan plan = stream_plan();
  plan.top = top_plan{.aggregate = 2, .count = 3};
  run({plan}, {.records = 1000, .groups = 50}, {.read_open_every = 4});
}

TEST_F(CudaFoldLimits, a_block_that_is_too_large_is_an_error_and_nothing_worse) {
  const std::string reason = start_machine(1, 3, false);
  if (!reason.empty()) GTEST_SKIP() << reason;
  const auto small = make_cuda_fold(
      {stream_plan()}, {.devices_max = 1, .block_bytes_max = 1 << 16, .block_records_max = 64});
  ASSERT_TRUE(small.ok());
  const std::vector<stream_record> stream = make_stream({.records = 65});
  stream_cutter cutter(stream, {65}, 1'700'000'000'000'000);
  stream_cutter::block block;
  ASSERT_TRUE(cutter.next(block));
  std::vector<shard_clock> clocks(block.runs.size());
  std::vector<fold_job::view_part> parts(1);
  parts[0].clocks = clocks;
  fold_job job{
      .runs = block.runs, .arrival_us = block.arrival_us, .device = nullptr, .views = parts};
  ASSERT_TRUE((*small)->submit(job));
  const result<bool> done = (*small)->poll(job);
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.failure().message().find("65 records"), std::string::npos)
      << done.failure().message();
}

}  // namespace
}  // namespace millrace::testing
