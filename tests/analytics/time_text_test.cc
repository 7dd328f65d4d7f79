#include "analytics/time_text.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(time_text, instants_are_rfc_3339) {
  EXPECT_EQ(instant_text(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(instant_text(1'431'857'103'000'000), "2015-05-17T10:05:03Z");
  EXPECT_EQ(instant_text(1'431'857'103'250'000), "2015-05-17T10:05:03.250Z");
  EXPECT_EQ(instant_text(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(instant_text(951'782'400'000'000), "2000-02-29T00:00:00Z");
  // What no timestamp of four digits can say is said all the same.
  EXPECT_EQ(instant_text(INT64_MAX), "+294247-01-10T04:00:54.775807Z");
  EXPECT_EQ(instant_text(INT64_MIN), "-290308-12-21T19:59:05.224192Z");
}

TEST(time_text, instants_are_read_back) {
  for (const std::int64_t time :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1'431'857'103'250'000},
        std::int64_t{951'782'400'000'001}, std::int64_t{253'402'300'799'999'999}})
    EXPECT_EQ(parse_instant(instant_text(time)), time);
  EXPECT_EQ(parse_instant("2015-05-17T12:05:03.25+02:00"), 1'431'857'103'250'000);
  EXPECT_EQ(parse_instant("2015-05-17 10:05:03.1234567z"), 1'431'857'103'123'456);
  EXPECT_EQ(parse_instant("2016-12-31T23:59:60Z"), parse_instant("2017-01-01T00:00:00Z"));
}

TEST(time_text, what_is_no_instant_is_not_taken_for_one) {
  for (const char* bad :
       {"", "2015", "2015-05-17", "2015-05-17T10:05:03", "2015-13-17T10:05:03Z",
        "2015-02-29T10:05:03Z", "2015-00-01T00:00:00Z", "2015-05-17T24:05:03Z",
        "2015-05-17T10:60:03Z", "2015-05-17T10:05:61Z", "2015-05-17T10:05:03.Z",
        "2015-05-17T10:05:03Zz", "2015-05-17T10:05:03+1:00", "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01", "15-05-17T10:05:03Z", "2015-05-17T10:05:03+24:00"})
    EXPECT_FALSE(parse_instant(bad)) << bad;
}

TEST(time_text, durations_take_units_and_sums) {
  const auto us = [](const char* text) {
    auto parsed = parse_duration("delay", text);
    EXPECT_TRUE(parsed.ok()) << text;
    return parsed.ok() ? *parsed : -1;
  };
  EXPECT_EQ(us("0s"), 0);
  EXPECT_EQ(us("250ms"), 250'000);
  EXPECT_EQ(us("1.5s"), 1'500'000);
  EXPECT_EQ(us("1m30s"), 90'000'000);
  EXPECT_EQ(us("2h"), 7'200'000'000);
  EXPECT_EQ(us("1d"), 86'400'000'000);
  EXPECT_EQ(us("7us"), 7);
  for (const char* bad :
       {"", "5", "s", "-5s", "5 s", "5x", "5s5", "1e3s", "nan s", "infs", "9999999d"}) {
    const auto refused = parse_duration("delay", bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_NE(refused.failure().message().find("delay '" + std::string(bad)), std::string::npos);
  }
}

TEST(time_text, durations_are_written_with_the_longest_unit_that_is_exact) {
  for (const char* text : {"0s", "90s", "250ms", "36h", "2d", "61m", "1us", "1000001us"})
    EXPECT_EQ(duration_text(*parse_duration("x", text)), text);
}

}  // namespace
}  // namespace millrace
