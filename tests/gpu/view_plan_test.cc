// What check() says of plans that are wrong: the view, the thing, the value and the limit.
#include "gpu/view_plan.h"

#include <functional>

#include "gpu/window_math.h"
#include "tests/gpu/filter_plans.h"

namespace millrace::testing {
namespace {

// The limits that users are told.
constexpr std::size_t group_fields_max = 16;
constexpr std::size_t aggregates_max = 64;
constexpr std::size_t filter_nesting_max = 32;
constexpr std::size_t filter_terms_max = 1024;
constexpr std::size_t filter_text_bytes_max = 1024;
constexpr std::size_t name_chars_max = 128;
constexpr std::int64_t panes_of_a_window_max = 86'400;
constexpr std::uint64_t groups_max = 4'294'967'296;
constexpr std::uint32_t windows_max = 1'048'576;
constexpr std::uint64_t state_bytes_min = 65'536;

std::string complaint(const std::function<void(view_plan&)>& spoil) {
  view_plan plan = stream_plan();
  spoil(plan);
  const status checked = check(plan);
  if (checked.ok()) return "";
  EXPECT_EQ(checked.failure().code(), error_code::invalid_argument);
  return checked.failure().message();
}
std::string filter_complaint(filter_plan filter) {
  return complaint([&](view_plan& plan) { plan.filter = std::move(filter); });
}

TEST(ViewPlan, a_good_one_is_good) {
  EXPECT_EQ(complaint([](view_plan&) {}), "");
  for (view_plan& plan : filtered_plans(every_comparison()))
    EXPECT_TRUE(check(plan).ok());
}

TEST(ViewPlan, names_are_plain_and_there) {
  const std::string rule = ": its name must be 1 to " + std::to_string(name_chars_max) +
                           " of letters, digits, '_', '-' and '.'";
  EXPECT_EQ(complaint([](view_plan& p) { p.name = ""; }), "view ''" + rule);
  EXPECT_EQ(complaint([](view_plan& p) { p.name = "a b"; }), "view 'a b'" + rule);
  const std::string longest(name_chars_max, 'n');
  EXPECT_EQ(complaint([&](view_plan& p) { p.name = longest; }), "");
  EXPECT_EQ(complaint([&](view_plan& p) { p.name = longest + "n"; }),
            "view '" + longest + "n'" + rule);
  EXPECT_EQ(complaint([](view_plan& p) { p.stream = ""; }), "view 'v': names no stream");
}

TEST(ViewPlan, fields_are_few_named_once_and_of_the_records_layout) {
  const std::string most = std::to_string(limits::extract_fields_max);
  const std::string over = std::to_string(limits::extract_fields_max + 1);
  EXPECT_EQ(complaint([](view_plan& p) {
              for (std::size_t i = p.fields.size(); i <= limits::extract_fields_max; ++i) {
                p.fields.push_back(p.fields[int_f]);
                p.fields.back().name = "f" + std::to_string(i);
              }
            }),
            "view 'v': has " + over + " fields, the limit is " + most);
  EXPECT_EQ(complaint([](view_plan& p) { p.fields[int_f].name = ""; }),
            "view 'v': field 2 has no name");
  EXPECT_EQ(complaint([](view_plan& p) { p.fields[real_f].name = "int"; }),
            "view 'v': field 'int' is there twice");
  EXPECT_EQ(complaint([](view_plan& p) { p.fields[key_f].type = field_type::int64; }),
            "view 'v': field 'key' is a built-in string, not a int64");
  EXPECT_EQ(complaint([](view_plan& p) { p.fields[int_f].source = json_source{"a"}; }),
            "view 'v': field 'int' is of another layout than the view's records");
  EXPECT_EQ(complaint([](view_plan& p) {
              p.layout = record_layout::json;
              p.fields = {p.fields[int_f]};
              p.fields[0].source = json_source{""};
            }),
            "view 'v': field 'int' has an empty path");
  EXPECT_EQ(complaint([](view_plan& p) {
              p.layout = record_layout::csv;
              p.csv_delimiter = '"';
              p.fields.clear();
            }),
            "view 'v': a CSV delimiter is one ASCII character, not a quote and no end of line");
}

TEST(ViewPlan, binary_fields_are_within_a_record) {
  const auto with = [](stream_field field, binary_source source) {
    return complaint([&](view_plan& p) { p.fields[field].source = source; });
  };
  EXPECT_EQ(with(int_f, {.offset = 0, .bytes = 8, .kind = binary_kind::text}),
            "view 'v': field 'int': text and only text is read as string");
  EXPECT_EQ(with(text_f, {.offset = 0, .bytes = 0, .kind = binary_kind::text}),
            "view 'v': field 'text' has a width of 0 bytes");
  const std::string longest = std::to_string(limits::record_payload_bytes_max);
  EXPECT_EQ(
      with(text_f,
           {.offset = 0, .bytes = limits::record_payload_bytes_max + 1, .kind = binary_kind::text}),
      "view 'v': field 'text' lies beyond " + longest + " bytes, the longest record");
  EXPECT_EQ(
      with(text_f,
           {.offset = limits::record_payload_bytes_max + 1, .bytes = 1, .kind = binary_kind::text}),
      "view 'v': field 'text' lies beyond " + longest + " bytes, the longest record");
}

TEST(ViewPlan, filters_are_shallow_short_and_of_something) {
  filter_plan deep = is_null(int_f);
  for (std::size_t i = 1; i < filter_nesting_max; ++i)
    deep = no(std::move(deep));
  EXPECT_EQ(filter_complaint(deep), "");
  EXPECT_EQ(filter_complaint(no(deep)),
            "view 'v': the filter is nested deeper than " + std::to_string(filter_nesting_max));
  std::vector<filter_plan::literal> many(filter_terms_max, std::int64_t{1});
  EXPECT_EQ(filter_complaint(compares(filter_kind::one_of, int_f, many)),
            "view 'v': the filter has more than " + std::to_string(filter_terms_max) + " terms");
  EXPECT_EQ(filter_complaint(combines(filter_kind::all_of, {})),
            "view 'v': an and, or or not of the filter is of nothing");
  EXPECT_EQ(filter_complaint(combines(filter_kind::negation, {is_null(int_f), is_null(int_f)})),
            "view 'v': a not of the filter is of 2 parts");
}

TEST(ViewPlan, comparisons_name_a_field_and_values_of_its_type) {
  EXPECT_EQ(filter_complaint(is_null(fields_end)), "view 'v': the filter names field 7 of 7");
  EXPECT_EQ(filter_complaint(compares(filter_kind::is_null, int_f, {std::int64_t{1}})),
            "view 'v': the filter on 'int': is null takes no value");
  EXPECT_EQ(filter_complaint(compares(filter_kind::equal, int_f, {})),
            "view 'v': the filter on 'int' has 0 values");
  EXPECT_EQ(
      filter_complaint(compares(filter_kind::less, int_f, {std::int64_t{1}, std::int64_t{2}})),
      "view 'v': the filter on 'int' has 2 values");
  EXPECT_EQ(filter_complaint(compares(filter_kind::has_prefix, int_f, {std::string("1")})),
            "view 'v': the filter on 'int': only strings have a prefix");
  EXPECT_EQ(filter_complaint(compares(filter_kind::equal, real_f, {std::int64_t{1}})),
            "view 'v': the filter on 'real' compares a float64 with a value of another type");
  EXPECT_EQ(filter_complaint(compares(filter_kind::one_of, flag_f, {true, std::string("yes")})),
            "view 'v': the filter on 'flag' compares a boolean with a value of another type");
  const std::string over = std::to_string(filter_text_bytes_max + 1);
  EXPECT_EQ(filter_complaint(compares(filter_kind::equal, text_f,
                                      {std::string(filter_text_bytes_max + 1, 'x')})),
            "view 'v': the filter on 'text' compares with a string of " + over +
                " bytes, the limit is " + std::to_string(filter_text_bytes_max));
}

TEST(ViewPlan, groups_are_by_few_fields_that_are_there) {
  const std::string over = std::to_string(group_fields_max + 1);
  EXPECT_EQ(
      complaint([](view_plan& p) { p.group_by.assign(group_fields_max + 1, int_f); }),
      "view 'v': groups by " + over + " fields, the limit is " + std::to_string(group_fields_max));
  EXPECT_EQ(complaint([](view_plan& p) { p.group_by = {fields_end}; }),
            "view 'v': groups by field 7 of 7");
}

TEST(ViewPlan, windows_have_a_size_and_hops_that_divide_it) {
  const auto with = [](window_kind kind, std::int64_t size_us, std::int64_t hop_us,
                       std::int64_t offset_us = 0) {
    return complaint([&](view_plan& p) {
      p.window = {.kind = kind, .size_us = size_us, .hop_us = hop_us, .offset_us = offset_us};
    });
  };
  const std::string most = std::to_string(window_us_max);
  EXPECT_EQ(with(window_kind::tumbling, 0, 0),
            "view 'v': a window of 0 us; it must be 1 to " + most);
  EXPECT_EQ(with(window_kind::session, window_us_max + 1, 0),
            "view 'v': a window of " + std::to_string(window_us_max + 1) + " us; it must be 1 to " +
                most);
  EXPECT_EQ(with(window_kind::tumbling, 100, 50),
            "view 'v': a tumbling window hops by its size, 100 us, not by 50");
  EXPECT_EQ(with(window_kind::hopping, 100, 30),
            "view 'v': the hop of 30 us does not divide the window of 100 us");
  EXPECT_EQ(with(window_kind::hopping, 100, 0),
            "view 'v': the hop of 0 us does not divide the window of 100 us");
  EXPECT_EQ(with(window_kind::hopping, panes_of_a_window_max + 1, 1),
            "view 'v': a window of " + std::to_string(panes_of_a_window_max + 1) +
                " hops, the limit is " + std::to_string(panes_of_a_window_max));
  EXPECT_EQ(with(window_kind::tumbling, 100, 100, 100),
            "view 'v': the offset of 100 us is not within the hop of 100 us");
  EXPECT_EQ(with(window_kind::tumbling, 100, 100, -1),
            "view 'v': the offset of -1 us is not within the hop of 100 us");
}

TEST(ViewPlan, times_are_timestamps_and_waits_are_bounded) {
  EXPECT_EQ(complaint([](view_plan& p) { p.time_field = fields_end; }),
            "view 'v': the time is field 7 of 7");
  EXPECT_EQ(complaint([](view_plan& p) { p.time_field = int_f; }),
            "view 'v': the time 'int' is no timestamp");
  const std::string range = " us; it must be 0 to " + std::to_string(window_us_max);
  EXPECT_EQ(complaint([](view_plan& p) { p.delay_us = -1; }), "view 'v': a delay of -1" + range);
  EXPECT_EQ(complaint([](view_plan& p) { p.future_max_us = -2; }),
            "view 'v': a future_max of -2" + range);
  EXPECT_EQ(complaint([](view_plan& p) { p.idle_us = window_us_max + 1; }),
            "view 'v': an idle time of " + std::to_string(window_us_max + 1) + range);
}

TEST(ViewPlan, aggregates_are_named_once_and_of_a_type_that_they_take) {
  const std::string range = " aggregates; it must be 1 to " + std::to_string(aggregates_max);
  EXPECT_EQ(complaint([](view_plan& p) { p.aggregates.clear(); }), "view 'v': has 0" + range);
  EXPECT_EQ(
      complaint([](view_plan& p) { p.aggregates.resize(aggregates_max + 1, p.aggregates[0]); }),
      "view 'v': has " + std::to_string(aggregates_max + 1) + range);
  EXPECT_EQ(complaint([](view_plan& p) { p.aggregates[1].name = ""; }),
            "view 'v': aggregate 1 has no name");
  EXPECT_EQ(complaint([](view_plan& p) { p.aggregates[1].name = "a0"; }),
            "view 'v': aggregate 'a0' is there twice");
  const auto with = [](aggregate_kind kind, std::optional<std::uint16_t> field, double quantile) {
    return complaint([&](view_plan& p) { p.aggregates = {{"a", kind, field, quantile}}; });
  };
  EXPECT_EQ(with(aggregate_kind::sum, std::nullopt, 0),
            "view 'v': aggregate 'a': sum needs a field");
  EXPECT_EQ(with(aggregate_kind::sum, fields_end, 0),
            "view 'v': aggregate 'a': sum is of field 7 of 7");
  EXPECT_EQ(with(aggregate_kind::avg, flag_f, 0),
            "view 'v': aggregate 'a': avg of the boolean field 'flag' is not supported");
  EXPECT_EQ(with(aggregate_kind::first, text_f, 0),
            "view 'v': aggregate 'a': first of the string field 'text' is not supported");
  EXPECT_EQ(with(aggregate_kind::approx_percentile, int_f, 1.5),
            "view 'v': aggregate 'a': approx_percentile at 1.500000; it must be 0 to 1");
  EXPECT_EQ(with(aggregate_kind::approx_percentile, int_f, __builtin_nan("")),
            "view 'v': aggregate 'a': approx_percentile at nan; it must be 0 to 1");
}

TEST(ViewPlan, the_top_rows_go_by_an_aggregate_of_windows_that_are_alike) {
  EXPECT_EQ(complaint([](view_plan& p) {
              p.top = top_plan{.aggregate = 22, .count = 1};
              p.aggregates.resize(22, p.aggregates[0]);
              for (std::size_t i = 0; i < 22; ++i)
                p.aggregates[i].name = "b" + std::to_string(i);
            }),
            "view 'v': the top rows go by aggregate 22 of 22");
  EXPECT_EQ(complaint([](view_plan& p) { p.top = top_plan{.aggregate = 0, .count = 0}; }),
            "view 'v': the top 0 rows");
  EXPECT_EQ(complaint([](view_plan& p) {
              p.window.kind = window_kind::session;
              p.top = top_plan{.aggregate = 0, .count = 1};
            }),
            "view 'v': the top rows of sessions: each has its own times, so there is nothing to "
            "compare");
}

TEST(ViewPlan, limits_have_limits) {
  EXPECT_EQ(complaint([](view_plan& p) { p.groups_max = 0; }),
            "view 'v': groups_max of 0; it must be 1 to " + std::to_string(groups_max));
  EXPECT_EQ(complaint([](view_plan& p) {
              p.window = {.kind = window_kind::hopping, .size_us = 100, .hop_us = 10};
              p.windows_max = 9;
            }),
            "view 'v': windows_max of 9; it must be 10 to " + std::to_string(windows_max));
  EXPECT_EQ(complaint([](view_plan& p) { p.state_bytes_max = 1; }),
            "view 'v': state_bytes_max of 1; it must be " + std::to_string(state_bytes_min) +
                " to " + std::to_string(INT64_MAX));
}

}  // namespace
}  // namespace millrace::testing
