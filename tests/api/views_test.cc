#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "api/admin_views.h"
#include "api/view_events.h"
#include "api/view_json.h"
#include "tests/api/fake_views.h"

namespace millrace {
namespace {

using nlohmann::json;

window_rows two_rows(std::int64_t second) {
  window_rows rows;
  add_row(rows, second, "/a,\"b\"", 200, 9'007'199'254'740'993, 0.5);
  add_row(rows, second, std::string("\0x", 2), std::nullopt, 1,
          std::numeric_limits<double>::quiet_NaN());
  return rows;
}

TEST(view_rows, keys_are_decoded_into_their_fields) {
  const view_columns columns(web_view());
  const window_rows rows = two_rows(7);
  auto values = decode_row(columns, rows, 0);
  ASSERT_EQ(values.size(), 5u);
  EXPECT_EQ(values[0], view_value("/a,\"b\""));
  EXPECT_EQ(values[1], view_value(std::int64_t{200}));
  EXPECT_EQ(values[3], view_value(0.5));
  EXPECT_EQ(values[4], view_value());
  values = decode_row(columns, rows, 1);
  EXPECT_EQ(values[0], view_value(std::string("\0x", 2)));
  EXPECT_EQ(values[1], view_value());
}

TEST(view_rows, a_damaged_key_is_null_and_no_crash) {
  const view_columns columns(web_view());
  const window_rows whole = two_rows(7);
  for (std::uint32_t bytes = 0; bytes < whole.rows[0].key_bytes; ++bytes) {
    window_rows rows = whole;
    rows.rows[0].key_bytes = bytes;
    EXPECT_EQ(decode_row(columns, rows, 0)[1], view_value()) << bytes;
  }
}

TEST(view_json, rows_are_objects_with_numbers_in_full) {
  std::string out = "[";
  append_rows_json(out, view_columns(web_view()), two_rows(7), 0, 2);
  out += "]";
  EXPECT_NE(out.find("\"requests\":9007199254740993"), std::string::npos) << out;
  const json rows = json::parse(out);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["window_start"], "1970-01-01T00:00:07Z");
  EXPECT_EQ(rows[0]["window_end"], "1970-01-01T00:00:08Z");
  EXPECT_EQ(rows[0]["page"], "/a,\"b\"");
  EXPECT_EQ(rows[0]["mean"], 0.5);
  EXPECT_TRUE(rows[0]["seen"].is_null());
  EXPECT_TRUE(rows[1]["status"].is_null());
  EXPECT_TRUE(rows[1]["mean"].is_null()) << "JSON has no NaN";
}

TEST(view_json, csv_quotes_what_it_has_to) {
  const std::string out = rows_csv(view_columns(web_view()), two_rows(7));
  EXPECT_TRUE(out.starts_with(
      "window_start,window_end,page,status,requests,mean,seen\r\n"
      "1970-01-01T00:00:07Z,1970-01-01T00:00:08Z,\"/a,\"\"b\"\"\",200,9007199254740993,0.5,\r\n"))
      << out;
}

TEST(view_json, a_status_is_json_too) {
  fake_views views;
  const json fresh = json::parse(view_json(views.list()[0]));
  EXPECT_TRUE(fresh["watermark"].is_null());
  EXPECT_EQ(fresh["columns"][1]["name"], "status");
  EXPECT_EQ(fresh["columns"][3]["is"], "avg(\"ms\")");
}

/// The events in a text, each as the lines of its fields.
std::vector<std::map<std::string, std::string>> events_in(std::string_view text) {
  std::vector<std::map<std::string, std::string>> out;
  while (!text.empty()) {
    const std::size_t end = text.find("\n\n");
    EXPECT_NE(end, std::string_view::npos);
    auto& one = out.emplace_back();
    std::string_view lines = text.substr(0, end + 1);
    text.remove_prefix(end + 2);
    while (!lines.empty()) {
      const std::string_view line = lines.substr(0, lines.find('\n'));
      lines.remove_prefix(line.size() + 1);
      one[std::string(line.substr(0, line.find(':')))] = line.substr(line.find(':') + 2);
    }
  }
  return out;
}

TEST(view_events, each_emission_is_an_event_with_its_ordinal) {
  fake_views views;
  view_events events(views, web_view(), {.from = 0});
  EXPECT_EQ(events.next().bytes, "");
  views.emit(two_rows(1));
  views.emit(two_rows(2));
  const http_piece piece = events.next();
  EXPECT_FALSE(piece.is_last);
  EXPECT_GT(piece.again_after_us, 0u);
  const auto seen = events_in(piece.bytes);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].at("id"), "1");
  EXPECT_EQ(seen[1].at("event"), "windows");
  const json data = json::parse(seen[1].at("data"));
  EXPECT_EQ(data["ordinal"], 1);
  EXPECT_EQ(data["watermark"], "1970-01-01T00:00:03Z");
  EXPECT_EQ(data["last"], true);
  EXPECT_EQ(data["rows"].size(), 2u);
  EXPECT_EQ(events.next().bytes, "");
}

TEST(view_events, a_large_emission_comes_in_parts_and_only_the_last_has_the_id) {
  fake_views views;
  window_rows rows;
  for (int i = 0; i < 10'000; ++i)
    add_row(rows, 1, std::to_string(i), i, 1, 1);
  views.emit(std::move(rows));
  view_events events(views, web_view(), {.from = 0, .follow = false});
  std::size_t taken = 0;
  std::size_t ids = 0;
  bool is_last = false;
  for (int part = 0; !is_last;) {
    const http_piece piece = events.next();
    is_last = piece.is_last;
    EXPECT_LT(piece.bytes.size(), 192u * 1024);
    for (const auto& one : events_in(piece.bytes)) {
      const json data = json::parse(one.at("data"));
      EXPECT_EQ(data["part"], part++);
      EXPECT_EQ(data["last"], one.contains("id"));
      ids += one.count("id");
      for (const json& row : data["rows"])
        EXPECT_EQ(row["status"], taken++);
    }
  }
  EXPECT_EQ(taken, 10'000u);
  EXPECT_EQ(ids, 1u);
}

TEST(view_events, what_was_dropped_before_it_was_taken_is_said) {
  fake_views views;
  for (int i = 0; i < 3; ++i)
    views.emit(two_rows(i));
  views.forget_first();
  view_events events(views, web_view(), {.from = 0, .follow = false});
  const auto seen = events_in(events.next().bytes);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].at("event"), "gap");
  EXPECT_EQ(seen[0].at("data"), "{\"from\":0,\"to\":1}");
  EXPECT_EQ(seen[1].at("id"), "1");
}

TEST(view_events, silence_is_broken_by_comments_and_a_fault_ends_the_stream) {
  fake_views views;
  view_events events(views, web_view(), {.from = 0, .keep_alive_us = 0});
  EXPECT_EQ(events.next().bytes, ": alive\n\n");
  views.change([](view_status& view) { view.fault = "no \"disk\""; });
  const http_piece piece = events.next();
  EXPECT_TRUE(piece.is_last);
  EXPECT_EQ(piece.bytes, "event: fault\ndata: {\"message\":\"no \\\"disk\\\"\"}\n\n");
}

}  // namespace
}  // namespace millrace
