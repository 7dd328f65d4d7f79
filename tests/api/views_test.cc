#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "api/admin_views.h"
#include "api/event_reader.h"
#include "api/view_events.h"
#include "api/view_json.h"
#include "tests/api/fake_views.h"
#include "tests/shards/temporary_directory.h"

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

TEST(event_reader, reads_back_what_view_events_wrote_wherever_it_is_cut) {
  fake_views views;
  views.emit(two_rows(1));
  view_events events(views, web_view(), {.from = 0, .follow = false});
  const std::string text = ": a comment\n\nretry: 1000\n\n" + events.next().bytes;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, text.size()}) {
    event_reader reader;
    std::vector<event_row> rows;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      reader.feed(std::string_view(text).substr(at, piece));
      while (const auto event = reader.next()) {
        auto some = rows_of(*event);
        ASSERT_TRUE(some.ok()) << some.failure().message();
        rows.insert(rows.end(), some->begin(), some->end());
      }
    }
    ASSERT_EQ(rows.size(), 2u) << piece;
    EXPECT_EQ(rows[0].cells[0].first, "window_start");
    EXPECT_EQ(rows[0].cells[2].second, "/a,\"b\"");
    EXPECT_EQ(rows[0].cells[4].second, "9007199254740993") << "no digit is lost on the way";
    EXPECT_EQ(rows[1].cells[3].second, "") << "null";
    EXPECT_EQ(json::parse(rows[0].json)["status"], 200);
  }
}

TEST(event_reader, a_fault_is_an_error_and_a_stranger_is_found_out) {
  EXPECT_EQ(rows_of({.name = "fault", .data = "{\"message\":\"no disk\"}"}).failure().message(),
            "no disk");
  EXPECT_FALSE(rows_of({.name = "windows", .data = "<html>"}).ok());
  EXPECT_FALSE(rows_of({.name = "windows", .data = "{\"rows\":[1]}"}).ok());
  EXPECT_TRUE(rows_of({.name = "gap", .data = "{\"from\":1,\"to\":2}"}).ok());
}

/// A pipeline in an empty directory.
struct no_streams {
  no_streams() {
    std::vector<recovered_stream> recovered;
    pipeline_options wanted;
    wanted.data_directory = directory.path();
    auto opened = pipeline::open(wanted, recovered);
    EXPECT_TRUE(opened.ok());
    all = *std::move(opened);
  }
  temporary_directory directory;
  std::unique_ptr<pipeline> all;
};

TEST(admin_views, metrics_show_the_newest_window_with_escaped_labels) {
  fake_views views;
  views.change([](view_status& view) { view.plan.as_metrics = true; });
  views.emit(two_rows(7));
  metrics_text out;
  no_streams streams;
  admin_views(&views, *streams.all).write_metrics(out);
  const std::string text = out.take();
  EXPECT_NE(text.find("millrace_window{view=\"web\",value=\"mean\",page=\"/a,\\\"b\\\"\","
                      "status=\"200\"} 0.5\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("millrace_window_end_seconds{view=\"web\"} 8\n"), std::string::npos);
  EXPECT_NE(text.find("millrace_view_emissions_total{view=\"web\"} 1\n"), std::string::npos);
}

TEST(admin_views, a_reader_asks_by_state_time_and_limit) {
  fake_views views;
  views.emit(two_rows(7));
  no_streams streams;
  const admin_views admin(&views, *streams.all);
  const auto get = [&](http_fields query, http_fields headers = {}) {
    http_request request;
    request.method = "GET";
    request.query = std::move(query);
    request.headers = std::move(headers);
    return admin.handle(request, "/web");
  };
  EXPECT_EQ(json::parse(get({}).body)["rows"].size(), 2u);
  EXPECT_FALSE(views.last_query.open);
  EXPECT_EQ(
      get({{"state", "open"}, {"from", "7.5"}, {"to", "1970-01-01T00:00:09Z"}, {"limit", "5"}})
          .status,
      200u);
  EXPECT_TRUE(views.last_query.open);
  EXPECT_EQ(views.last_query.from_us, 7'500'000);
  EXPECT_EQ(views.last_query.to_us, 9'000'000);
  EXPECT_EQ(views.last_query.rows_max, 5u);
  EXPECT_TRUE(get({}, {{"Accept", "text/csv"}}).body.starts_with("window_start,"));
  EXPECT_TRUE(get({{"format", "json"}}, {{"Accept", "text/csv"}}).body.starts_with("{"));
  for (const auto& [name, value] : http_fields{{"state", "ajar"},
                                               {"from", "noon"},
                                               {"to", "1e300"},
                                               {"limit", "100001"},
                                               {"format", "xml"}})
    EXPECT_EQ(get({{name, value}}).status, 400u) << name;
}

}  // namespace
}  // namespace millrace
