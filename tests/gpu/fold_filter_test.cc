// Views with filters: the CPU's fold against the oracle, and the rules of nulls by hand.
#include "tests/gpu/filter_plans.h"

namespace millrace::testing {
namespace {

constexpr stream_options half_null{
    .records = 2500, .shards = 3, .groups = 12, .null_percent = 40, .is_special = true};

TEST(FoldFilter, every_comparison_of_every_type_takes_what_the_oracle_says) {
  expect_as_oracle(make_cpu_fold, filtered_plans(every_comparison()), half_null, {});
}

TEST(FoldFilter, every_combination_takes_what_the_oracle_says) {
  expect_as_oracle(make_cpu_fold, filtered_plans(every_combination()), half_null, {});
}

TEST(FoldFilter, sessions_and_hopping_windows_have_filters_too) {
  std::vector<view_plan> plans = filtered_plans(every_combination());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    plans[i].window = {.kind = i % 2 == 0 ? window_kind::session : window_kind::hopping,
                       .size_us = 30'000,
                       .hop_us = 10'000};
  }
  expect_as_oracle(make_cpu_fold, plans, half_null, {.snapshot_every = 4, .read_open_every = 5});
}

// The oracle and the fold could be wrong alike about a null: here is what is right.

/// Of one record whose fields end before `flag`: whether the filter takes it.
bool takes_record_of_nulls(const filter_plan& filter) {
  std::byte data[28] = {};
  store(data, std::int64_t{1'700'000'000'000'000});
  store(data + 12, std::int64_t{7});
  store(data + 20, 2.5);
  stream_record record;
  record.bytes.resize(record_stride(1, sizeof data, false));
  write_record(record.bytes.data(), "k", data, nullptr);
  const std::vector<stream_record> stream{record};
  const std::vector<view_plan> plans = filtered_plans({filter});
  const auto fold = make_cpu_fold(plans);
  stream_cutter cutter(stream, {1}, 1'700'000'000'000'000);
  stream_cutter::block block;
  EXPECT_TRUE(cutter.next(block));
  std::vector<view_clocks> clocks(1);
  std::vector<fold_job::view_part> parts(1);
  fold_block(**fold, block, clocks, parts);
  EXPECT_EQ(parts[0].counts.folded + parts[0].counts.filtered, 1u);
  return parts[0].counts.folded == 1;
}

TEST(FoldFilter, a_comparison_with_null_is_unknown_whichever_way_it_is_asked) {
  const std::string text = "text";
  for (const filter_plan& unknown : {compares(filter_kind::equal, flag_f, {true}),
                                     compares(filter_kind::not_equal, flag_f, {true}),
                                     compares(filter_kind::less, text_f, {text}),
                                     compares(filter_kind::greater_equal, text_f, {text}),
                                     compares(filter_kind::one_of, text_f, {text, std::string()}),
                                     compares(filter_kind::has_prefix, text_f, {std::string()})}) {
    EXPECT_FALSE(takes_record_of_nulls(unknown));
    EXPECT_FALSE(takes_record_of_nulls(no(unknown)));
    EXPECT_FALSE(takes_record_of_nulls(no(no(unknown))));
    EXPECT_FALSE(takes_record_of_nulls(combines(filter_kind::any_of, {unknown, no(unknown)})));
  }
}

TEST(FoldFilter, unknown_is_decided_by_the_other_side_alone) {
  const filter_plan unknown = compares(filter_kind::equal, flag_f, {true});
  const filter_plan yes = compares(filter_kind::equal, int_f, {std::int64_t{7}});
  for (const bool swapped : {false, true}) {
    const auto pair = [&](filter_kind op, const filter_plan& with) {
      return swapped ? combines(op, {with, unknown}) : combines(op, {unknown, with});
    };
    EXPECT_TRUE(takes_record_of_nulls(pair(filter_kind::any_of, yes)));
    EXPECT_FALSE(takes_record_of_nulls(pair(filter_kind::any_of, no(yes))));
    EXPECT_FALSE(takes_record_of_nulls(pair(filter_kind::all_of, yes)));
    EXPECT_TRUE(takes_record_of_nulls(no(pair(filter_kind::all_of, no(yes)))));
    EXPECT_FALSE(takes_record_of_nulls(no(pair(filter_kind::all_of, yes))));
  }
}

TEST(FoldFilter, is_null_is_never_unknown) {
  EXPECT_TRUE(takes_record_of_nulls(is_null(flag_f)));
  EXPECT_TRUE(takes_record_of_nulls(is_null(text_f)));
  EXPECT_FALSE(takes_record_of_nulls(no(is_null(text_f))));
  EXPECT_FALSE(takes_record_of_nulls(is_null(int_f)));
  EXPECT_TRUE(takes_record_of_nulls(no(is_null(int_f))));
}

}  // namespace
}  // namespace millrace::testing
