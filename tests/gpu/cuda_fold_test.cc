// The fold on a device against the oracle (fold_oracle.h), on the emulated machine and, the same,
// on a real GPU.
#include "gpu/cuda_fold.h"

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

TEST_F(CudaFold, has_no_races) {
  run({sketch_plans()[0], sketch_plans()[2]}, {.records = 150, .shards = 2, .groups = 4},
      {.block_records = {75}}, 1, true);
}

}  // namespace
}  // namespace millrace::testing
