#include "analytics/filter_text.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace millrace {
namespace {

view_plan web_plan() {
  view_plan plan;
  plan.layout = record_layout::json;
  const auto add = [&](const char* name, field_type type) {
    plan.fields.push_back({.name = name, .type = type, .source = json_source{name}});
  };
  add("status", field_type::int64);
  add("latency", field_type::float64);
  add("path", field_type::string);
  add("ok", field_type::boolean);
  add("at", field_type::timestamp);
  add("not", field_type::string);
  return plan;
}

/// What the text means, written out.
std::string meaning(const char* text) {
  view_plan plan = web_plan();
  field_scope fields(plan);
  auto parsed = parse_filter(text, fields);
  if (!parsed.ok()) return parsed.failure().message();
  const std::string printed = filter_text(*parsed, plan);
  auto again = parse_filter(printed, fields);
  EXPECT_TRUE(again.ok()) << printed;
  if (again.ok()) {
    EXPECT_EQ(filter_text(*again, plan), printed);
  }
  return printed;
}

std::string call(const char* text) {
  view_plan plan = web_plan();
  field_scope fields(plan);
  auto parsed = parse_aggregate(text, fields);
  if (!parsed.ok()) return parsed.failure().message();
  return aggregate_text(*parsed, plan);
}

TEST(filter_text, comparisons_take_literals_of_the_fields_type) {
  EXPECT_EQ(meaning("status >= 500"), "\"status\" >= 500");
  EXPECT_EQ(meaning("status<>-1"), "\"status\" != -1");
  EXPECT_EQ(meaning("status == +9223372036854775807"), "\"status\" = 9223372036854775807");
  EXPECT_EQ(meaning("latency < 1e-3"), "\"latency\" < 0.001");
  EXPECT_EQ(meaning("latency < 5"), "\"latency\" < 5");
  EXPECT_EQ(meaning("path = 'it''s'"), "\"path\" = 'it''s'");
  EXPECT_EQ(meaning("ok = FALSE"), "\"ok\" = false");
  EXPECT_EQ(meaning("ok"), "\"ok\" = true");
  EXPECT_EQ(meaning("not ok"), "not \"ok\" = true");
  EXPECT_EQ(meaning("at >= '2026-01-31T13:00:00+01:00'"), "\"at\" >= '2026-01-31T12:00:00Z'");
}

TEST(filter_text, and_binds_closer_than_or_and_not_closest) {
  EXPECT_EQ(meaning("status = 1 or status = 2 and not status = 3"),
            "\"status\" = 1 or \"status\" = 2 and not \"status\" = 3");
  EXPECT_EQ(meaning("(status = 1 or status = 2) and ok"),
            "(\"status\" = 1 or \"status\" = 2) and \"ok\" = true");
  EXPECT_EQ(meaning("NOT (ok AND ok)"), "not (\"ok\" = true and \"ok\" = true)");
}

TEST(filter_text, sets_nulls_prefixes_and_ranges) {
  EXPECT_EQ(meaning("status in (200, 404)"), "\"status\" in (200, 404)");
  EXPECT_EQ(meaning("status not in (200)"), "\"status\" not in (200)");
  EXPECT_EQ(meaning("path is null"), "\"path\" is null");
  EXPECT_EQ(meaning("path is not null"), "\"path\" is not null");
  EXPECT_EQ(meaning("path like '/api/%'"), "\"path\" like '/api/%'");
  EXPECT_EQ(meaning("path like '100\\%\\_%'"), "\"path\" like '100\\%\\_%'");
  EXPECT_EQ(meaning("path like 'all'"), "\"path\" = 'all'");
  EXPECT_EQ(meaning("status between 1 and 5 and ok"),
            "\"status\" between 1 and 5 and \"ok\" = true");
  EXPECT_EQ(meaning("status not between 1 and 5"), "\"status\" not between 1 and 5");
  EXPECT_EQ(meaning("path not like 'all'"), "\"path\" != 'all'");
  EXPECT_EQ(meaning("not path like 'a%'"), "\"path\" not like 'a%'");
}

TEST(filter_text, names_in_quotes_are_names_and_built_in_ones_need_no_declaration) {
  EXPECT_EQ(meaning("\"not\" = 'x'"), "\"not\" = 'x'");
  EXPECT_EQ(meaning("partition_key like 'user-%'"), "\"partition_key\" like 'user-%'");
  view_plan plan = web_plan();
  plan.layout = record_layout::access_log;
  field_scope fields(plan);
  ASSERT_TRUE(parse_filter("bytes > 0 and bytes < 10 and record_bytes > 5", fields).ok());
  ASSERT_EQ(plan.fields.size(), 8u) << "each once";
  EXPECT_EQ(plan.fields[6].name, "bytes");
  EXPECT_EQ(std::get<access_log_source>(plan.fields[6].source).part, access_log_part::bytes);
  EXPECT_EQ(std::get<builtin_field>(plan.fields[7].source), builtin_field::record_bytes);
}

TEST(filter_text, errors_name_the_column_and_what_was_wanted) {
  const std::pair<const char*, std::vector<const char*>> refused[] = {
      {"", {"column 1", "end", "a field"}},
      {"status", {"column 7", "comparison"}},
      {"status >", {"column 9", "whole number"}},
      {"status > 1.5", {"column 10", "'status'", "whole number"}},
      {"status > 99999999999999999999", {"column 10", "64 bits"}},
      {"status = 'x'", {"column 10", "whole number"}},
      {"path = 5", {"column 8", "single quotes"}},
      {"path = \"x\"", {"column 8", "single quotes"}},
      {"path = 'x", {"column 8", "quote"}},
      {"path like '%x'", {"column 11", "prefix"}},
      {"path like 'a_b'", {"column 11", "prefix"}},
      {"path like 'a\\'", {"column 11", "prefix"}},
      {"status like 'x%'", {"column 8", "string"}},
      {"latency < x", {"column 11", "a number"}},
      {"latency < 1e999", {"column 11", "a number"}},
      {"ok > true", {"column 4", "order"}},
      {"at > '2026'", {"column 6", "a time"}},
      {"nope = 1", {"column 1", "'nope'", "status, latency"}},
      {"status in ()", {"column 12", "whole number"}},
      {"status in (1", {"column 13", "')'"}},
      {"status is 5", {"column 11", "null"}},
      {"status not 5", {"column 12", "'in'"}},
      {"(ok", {"column 4", "')'"}},
      {"ok ok", {"column 4", "and"}},
      {"ok and", {"column 7", "a field"}},
      {"status ; 5", {"column 8", "nothing"}},
  };
  for (const auto& [text, words] : refused) {
    for (const char* word : words)
      EXPECT_NE(meaning(text).find(word), std::string::npos) << text << " → " << meaning(text);
  }
  const std::string deep(1000, '(');
  EXPECT_NE(meaning(deep.c_str()).find("deeper than the maximum 32"), std::string::npos);
  std::string nots;
  for (int i = 0; i < 1000; ++i)
    nots += "not ";
  EXPECT_NE(meaning(nots.c_str()).find("deeper"), std::string::npos);
}

TEST(aggregate_text, calls_name_a_field_where_they_need_one) {
  EXPECT_EQ(call("count"), "count");
  EXPECT_EQ(call("COUNT(*)"), "count");
  EXPECT_EQ(call("count()"), "count");
  EXPECT_EQ(call("count(path)"), "count(\"path\")");
  EXPECT_EQ(call("sum( status )"), "sum(\"status\")");
  EXPECT_EQ(call("percentile(latency, 0.99)"), "approx_percentile(\"latency\", 0.99)");
  EXPECT_EQ(call("count_distinct(partition_key)"), "approx_count_distinct(\"partition_key\")");
  EXPECT_EQ(call("last(\"not\")"), "last(\"not\")");
}

TEST(aggregate_text, errors_name_the_column) {
  const std::pair<const char*, const char*> refused[] = {
      {"", "column 1"},
      {"median(status)", "percentile"},
      {"sum", "column 4"},
      {"sum()", "column 5"},
      {"sum(*)", "column 5"},
      {"sum(nope)", "'nope'"},
      {"sum(status", "')'"},
      {"sum(status) + 1", "column 13"},
      {"percentile(latency)", "column 19"},
      {"percentile(latency, 99)", "from 0 to 1"},
      {"percentile(latency, 0.5", "')'"},
  };
  for (const auto& [text, word] : refused)
    EXPECT_NE(call(text).find(word), std::string::npos) << text << " → " << call(text);
}

}  // namespace
}  // namespace millrace
