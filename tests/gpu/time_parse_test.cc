// Timestamps out of text, in every format.
#include "gpu/time_parse.h"

#include <ctime>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace millrace {
namespace {

byte_range range_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), static_cast<std::uint32_t>(text.size())};
}

std::string rfc3339(std::string_view text) {
  std::int64_t us = 0;
  return parse_rfc3339(range_of(text), us) ? std::to_string(us) : "none";
}
std::string access_log(std::string_view text) {
  std::int64_t us = 0;
  return parse_access_log_time(range_of(text), us) ? std::to_string(us) : "none";
}
std::string number(std::string_view text, int scale) {
  const number_text parts = scan_number(range_of(text), number_style::json);
  std::int64_t us = 0;
  return parts.good && parse_time_number(parts, scale, us) ? std::to_string(us) : "none";
}

TEST(time_parse, rfc3339_with_zone_offset_and_fraction) {
  EXPECT_EQ(rfc3339("1970-01-01T00:00:00Z"), "0");
  EXPECT_EQ(rfc3339("1985-04-12T23:20:50.52Z"), "482196050520000");
  EXPECT_EQ(rfc3339("1996-12-19T16:39:57-08:00"), "851042397000000");
  EXPECT_EQ(rfc3339("1937-01-01T12:00:27.87+00:20"), "-1041337172130000");
  EXPECT_EQ(rfc3339("2026-01-31t12:00:00.25z"), "1769860800250000");
  EXPECT_EQ(rfc3339("2026-01-31 12:00:00.123456999Z"), "1769860800123456");
  EXPECT_EQ(rfc3339("1990-12-31T23:59:60Z"), "662688000000000");
  EXPECT_EQ(rfc3339("0000-01-01T00:00:00Z"), std::to_string(time_us_min));
  EXPECT_EQ(rfc3339("9999-12-31T23:59:59.999999Z"), std::to_string(time_us_max));
}

TEST(time_parse, what_is_no_rfc3339_time_is_none) {
  for (const char* text : {"",
                           "2026",
                           "2026-01-31",
                           "2026-01-31T12:00:00",
                           "2026-01-31T12:00Z",
                           "2026-1-31T12:00:00Z",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-02-29T00:00:00Z",
                           "2026-04-31T00:00:00Z",
                           "2026-01-00T00:00:00Z",
                           "2026-01-31T24:00:00Z",
                           "2026-01-31T12:60:00Z",
                           "2026-01-31T12:00:61Z",
                           "2026-01-31T12:00:00.Z",
                           "2026-01-31T12:00:00Z ",
                           "2026-01-31T12:00:00+0100",
                           "2026-01-31T12:00:00+24:00",
                           "2026-01-31T12:00:00+01:60",
                           "2026-01-31X12:00:00Z",
                           "-026-01-31T12:00:00Z",
                           "0000-01-01T00:00:00+00:01",
                           "9999-12-31T23:59:59-00:01",
                           "2026-01-31T12:00:00.1",
                           "1900-02-29T00:00:00Z",
                           "2026-01-31T12:00:00.1+"}) {
    EXPECT_EQ(rfc3339(text), "none") << text;
  }
  EXPECT_NE(rfc3339("2000-02-29T00:00:00Z"), "none");
  EXPECT_NE(rfc3339("2024-02-29T00:00:00Z"), "none");
}

TEST(time_parse, access_log_times) {
  EXPECT_EQ(access_log("17/May/2015:10:05:03 +0000"), "1431857103000000");
  EXPECT_EQ(access_log("10/Oct/2000:13:55:36 -0700"), "971211336000000");
  for (const char* text :
       {"", "17/May/2015:10:05:03", "17/may/2015:10:05:03 +0000", "17/Mai/2015:10:05:03 +0000",
        "32/May/2015:10:05:03 +0000", "17/May/2015 10:05:03 +0000", "17/May/2015:10:05:03 +00:00",
        "17/May/2015:10:05:03 +0000 ", "17/Ma", "7/May/2015:10:05:03 +0000"}) {
    EXPECT_EQ(access_log(text), "none") << text;
  }
}

TEST(time_parse, calendars_agree_on_every_day_and_random_second) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 100'000; ++i) {
    const std::time_t seconds =
        time_us_min / 1'000'000 +
        static_cast<std::time_t>(
            random() % static_cast<std::uint64_t>((time_us_max - time_us_min) / 1'000'000));
    std::tm parts{};
    ASSERT_NE(gmtime_r(&seconds, &parts), nullptr);
    char text[64];
    ASSERT_GT(std::strftime(text, sizeof text, "-%m-%dT%H:%M:%SZ", &parts), 0u);
    char year[16];
    std::snprintf(year, sizeof year, "%04d", parts.tm_year + 1900);
    ASSERT_EQ(rfc3339(std::string(year) + text), std::to_string(seconds * 1'000'000))
        << year << text;
    ASSERT_GT(std::strftime(text, sizeof text, ":%H:%M:%S +0000", &parts), 0u);
    char day[32];
    ASSERT_GT(std::strftime(day, sizeof day, "%d/%b/", &parts), 0u);
    ASSERT_EQ(access_log(std::string(day) + year + text), std::to_string(seconds * 1'000'000));
  }
}

TEST(time_parse, numbers_are_cut_to_microseconds_towards_the_past) {
  EXPECT_EQ(number("1446249499.322", 6), "1446249499322000");
  EXPECT_EQ(number("1446249499322", 3), "1446249499322000");
  EXPECT_EQ(number("1446249499322.4569", 3), "1446249499322456");
  EXPECT_EQ(number("1446249499322456", 0), "1446249499322456");
  EXPECT_EQ(number("1446249499322456.9", 0), "1446249499322456");
  EXPECT_EQ(number("1.446249499e9", 6), "1446249499000000");
  EXPECT_EQ(number("14462494993e-1", 6), "1446249499300000");
  EXPECT_EQ(number("-1.5", 6), "-1500000");
  EXPECT_EQ(number("-1.5000001", 6), "-1500001");
  EXPECT_EQ(number("-0.0000001", 6), "-1");
  EXPECT_EQ(number("0e999999999999", 6), "0");
  EXPECT_EQ(number("1e-999999999999", 6), "0");
  EXPECT_EQ(number("-1e-999999999999", 6), "-1");
  EXPECT_EQ(number("253402300799.9999999", 6), std::to_string(time_us_max));
  EXPECT_EQ(number("253402300800", 6), "none");
  EXPECT_EQ(number("-62167219200", 6), std::to_string(time_us_min));
  EXPECT_EQ(number("-62167219200.0000001", 6), "none");
  EXPECT_EQ(number("1e999999999999", 6), "none");
  EXPECT_EQ(number("99999999999999999999999999999999999999999999", 0), "none");
}

}  // namespace
}  // namespace millrace
