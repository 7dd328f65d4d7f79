// The CPU's fold against the oracle (fold_oracle.h).
#include "gpu/fold.h"

#include "tests/gpu/fold_stream.h"

namespace millrace::testing {
namespace {

view_plan with_window(view_plan plan, window_kind kind, std::int64_t size_us, std::int64_t hop_us,
                      std::int64_t offset_us = 0) {
  plan.window = {.kind = kind, .size_us = size_us, .hop_us = hop_us, .offset_us = offset_us};
  return plan;
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
  plans.push_back(with_window(stream_plan({group_f}), window_kind::session, 40'000, 0));
  plans[1].time_field.reset();
  plans[2].delay_us = 10'000;
  plans[5].delay_us = 0;
  for (std::size_t i = 0; i < plans.size(); ++i)
    plans[i].name = "v" + std::to_string(i);
  return plans;
}

TEST(Fold, windows_of_all_kinds_are_what_the_oracle_says) {
  for (const std::uint32_t records : {0u, 1u, 31u, 32u, 33u, 255u, 256u, 257u, 3000u}) {
    SCOPED_TRACE(records);
    expect_as_oracle(make_cpu_fold, many_plans(),
                     {.seed = records, .records = records, .shards = 3}, {.read_open_every = 5});
  }
}

TEST(Fold, sketches_are_what_the_oracle_says) {
  std::vector<view_plan> plans = many_plans();
  for (view_plan& plan : plans)
    add_sketches(plan);
  expect_as_oracle(make_cpu_fold, plans, {.records = 4000, .groups = 3}, {.read_open_every = 9});
  expect_as_oracle(make_cpu_fold, plans, {.seed = 7, .records = 2000, .is_special = true}, {});
}

TEST(Fold, special_values_have_their_rules) {
  expect_as_oracle(make_cpu_fold, many_plans(),
                   {.records = 3000, .groups = 4, .null_percent = 50, .is_special = true}, {});
}

TEST(Fold, skewed_keys_of_up_to_256_bytes_many_shards_and_blocks_of_all_sizes) {
  expect_as_oracle(make_cpu_fold, many_plans(),
                   {.records = 6000,
                    .shards = 40,
                    .groups = 2000,
                    .is_skewed = true,
                    .key_bytes_max = 256,
                    .disorder_us = 200'000,
                    .future_per_mille = 10},
                   {.block_records = {1, 31, 32, 33, 255, 256, 257, 1000}});
}

TEST(Fold, goes_on_from_a_snapshot_as_if_nothing_had_been) {
  std::vector<view_plan> plans = many_plans();
  for (view_plan& plan : plans)
    add_sketches(plan);
  expect_as_oracle(make_cpu_fold, plans, {.records = 3000, .shards = 4},
                   {.snapshot_every = 3, .read_open_every = 4});
}

TEST(Fold, on_several_threads_is_the_same_as_on_one) {
  std::vector<view_plan> plans = many_plans();
  for (view_plan& plan : plans)
    add_sketches(plan);
  for (const unsigned threads : {2u, 5u}) {
    SCOPED_TRACE(threads);
    const auto make = [&](std::vector<view_plan> of) {
      return make_cpu_fold_on(threads, std::move(of));
    };
    expect_as_oracle(make, plans,
                     {.records = 12'000, .shards = 7, .groups = 50, .future_per_mille = 5},
                     {.block_records = {5000, 1, 1024, 1025, 2048}, .snapshot_every = 4});
  }
}

TEST(Fold, many_groups_of_a_window_are_ordered_whatever_their_keys_have_in_common) {
  // Texts that begin the same, integers of both signs, and several fields together.
  std::vector<view_plan> plans = {
      stream_plan({text_f}), stream_plan({int_f}), stream_plan({group_f, text_f}),
      stream_plan({real_f, key_f}),
      with_window(stream_plan({text_f, int_f}), window_kind::session, 40'000, 0)};
  for (std::size_t i = 0; i < plans.size(); ++i)
    plans[i].name = "v" + std::to_string(i);
  expect_as_oracle(make_cpu_fold, plans,
                   {.records = 6000, .shards = 2, .groups = 5000, .is_special = true},
                   {.block_records = {2000}, .read_open_every = 2});
}

}  // namespace
}  // namespace millrace::testing
