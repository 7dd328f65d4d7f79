// extract() at every level against extract_record(), on documents that are valid, damaged or
// hostile; and against simdjson on valid ones.
#include <algorithm>
#include <fstream>
#include <random>

#include <simdjson.h>

#include "base/limits.h"
#include "tests/gpu/extract_fixture.h"
#include "tests/gpu/json_documents.h"

namespace millrace {
namespace {

using test::csv_field;
using test::json_field;
using test::log_field;
using test::record_set;
using test::show;

const std::vector<field_plan> json_fields = {
    json_field("a", field_type::int64),
    json_field("b", field_type::string),
    json_field("c.d", field_type::float64),
    json_field("c.e[1]", field_type::boolean),
    json_field("c.e[3].f", field_type::string),
    json_field("long_name_of_a_field", field_type::float64),
    json_field("t", field_type::timestamp, time_format::rfc3339),
    json_field("n", field_type::timestamp, time_format::seconds),
    json_field("[1]", field_type::int64),
    json_field("q\"k", field_type::string),
    {.name = "key", .type = field_type::string, .source = builtin_field::partition_key},
    {.name = "size", .type = field_type::int64, .source = builtin_field::record_bytes}};

/// What each level makes of the records is what extract_record() makes of each.
void expect_same_everywhere(record_layout layout, const std::vector<field_plan>& fields,
                            const record_set& set) {
  const std::size_t count = set.records().size();
  for (const simd_level level : {simd_level::scalar, simd_level::avx2, simd_level::avx512}) {
    if (!has_simd(level)) continue;
    auto plan = extractor::compile(layout, ',', fields, level);
    ASSERT_TRUE(plan.ok()) << plan.failure().message();
    std::vector<field_value> all(fields.size() * count);
    plan->extract(set.records(), all.data(), count);
    std::vector<field_value> one(fields.size());
    for (std::size_t i = 0; i < count; ++i) {
      extract_record(plan->program(), set.records()[i], one.data(), 1);
      for (std::size_t f = 0; f < fields.size(); ++f) {
        const field_value& seen = all[f * count + i];
        ASSERT_EQ(std::memcmp(&seen, &one[f], sizeof seen), 0)
            << to_string(level) << ", field " << fields[f].name << ": "
            << show(seen, fields[f].type) << " for " << show(one[f], fields[f].type) << " of "
            << std::string(reinterpret_cast<const char*>(set.records()[i].bytes), 60);
      }
    }
  }
}

TEST(extract_parity, generated_documents) {
  document_maker maker(1);
  record_set set;
  for (int i = 0; i < 5'000; ++i)
    set.add(maker.make());
  expect_same_everywhere(record_layout::json, json_fields, set);
}

TEST(extract_parity, every_prefix_of_a_document) {
  document_maker maker(2);
  for (int i = 0; i < 40; ++i) {
    const std::string document = maker.make();
    record_set set;
    for (std::size_t size = 0; size <= std::min<std::size_t>(document.size(), 700); ++size)
      set.add(document.substr(0, size));
    expect_same_everywhere(record_layout::json, json_fields, set);
  }
}

TEST(extract_parity, damaged_documents) {
  document_maker maker(3);
  record_set set;
  for (int i = 0; i < 20'000; ++i)
    set.add(damaged(maker.make(), maker));
  expect_same_everywhere(record_layout::json, json_fields, set);
}

/// What differs between documents of one stream, and what should not be taken for it.
TEST(extract_parity, documents_that_look_alike) {
  const std::vector<field_plan> fields = {
      json_field("a", field_type::int64), json_field("b", field_type::string),
      json_field("c.d", field_type::float64), json_field("c.e[1]", field_type::boolean)};
  static constexpr const char* values[] = {
      "1",
      "-25",
      "\"text\"",
      "\"\\u00e9\\\"{,:\"",
      "true",
      " false ",
      "null",
      "1.5e3",
      "",
      "\"\"",
      "\"a longer text, of more than one word of the machine\"",
      "[]",
      "{}",
      "[1]",
      "\n7\t"};
  document_maker maker(5);
  const auto value = [&] { return std::string(values[maker.pick(std::size(values))]); };
  for (int turn = 0; turn < 60; ++turn) {
    const std::string skipped = turn % 3 == 0 ? "{\"a\":[1,{\"b\":2}]}" : "17";
    record_set set;
    for (int i = 0; i < 300; ++i) {
      // Mostly values that keep the shape, so that it is learned and used.
      const auto some = [&](const char* usual) { return maker.pick(12) == 0 ? value() : usual; };
      std::string text = "{\"x\":" + skipped + ",\"a\":" + some(i % 2 == 0 ? "12" : "-3456") +
                         ",\"a_long_name_of_a_member\":\"" + std::string(maker.pick(5), 'y') +
                         "\",\"b\":" + some("\"t\\u0041\"") + ",\"c\":{\"e\":[0," + some("true") +
                         ",4],\"d\":" + some("2.5") + "},\"z\":[]}";
      switch (maker.pick(10)) {
        case 0:
          text = damaged(text, maker);
          break;
        case 1: {  // another name of the same length, or a wanted one in its place
          static constexpr const char* names[] = {"\"a\":", "\"b\":", "\"q\":", "\"c\":"};
          const std::size_t at = text.find(names[maker.pick(std::size(names))]);
          if (at != std::string::npos) text.replace(at, 4, names[maker.pick(std::size(names))]);
          break;
        }
        case 2:
          text.insert(maker.pick(text.size()), " ");
          break;
        case 3:
          text.resize(maker.pick(text.size()));
          break;
        default:
          break;
      }
      set.add(text);
    }
    expect_same_everywhere(record_layout::json, fields, set);
  }
}

TEST(extract_parity, hostile_documents) {
  record_set set;
  for (const std::size_t depth : {1, 63, 64, 65, 511, 512, 513, 100'000}) {
    for (const char* open :
         {"[", "{\"c\":", "{\"c\":{\"e\":[0,", "{\"a\":[", "\\", "\"", "\\\"", "}"}) {
      std::string nested;
      for (std::size_t i = 0; i < depth; ++i)
        nested += open;
      set.add(nested);
      set.add(nested + "1");
      set.add("{\"b\":\"" + nested + "\",\"a\":1}");
      set.add("{\"x\":" + nested + std::string(depth, ']') + ",\"a\":1}");
      set.add("{\"x\":" + nested + std::string(depth, '}') + ",\"a\":1}");
    }
  }
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "\"",
                           "null",
                           "5",
                           "{}",
                           "[]",
                           "}",
                           "]",
                           ":",
                           ",",
                           "{]",
                           "[}",
                           "{,}",
                           "{:}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":,}",
                           "{\"a\":1,}",
                           "{\"a\":1\"b\":2}",
                           "{\"a\" 1}",
                           "{a:1}",
                           "{\"a\":1}}",
                           "{\"a\":{]}",
                           "{\"c\":{\"d\":1]}",
                           "{\"b\":\"\\u12\"}",
                           "{\"b\":\"\\ud800\"}",
                           "{\"b\":\"\\ud800\\u0041\"}",
                           "{\"b\":\"\\udc00\"}",
                           "{\"b\":\"\xff\"}",
                           "{\"b\":\"\xc3\"}",
                           "{\"b\":\"a\nb\"}",
                           "{\"b\":\"x\"\"y\"}"}) {
    set.add(text);
  }
  expect_same_everywhere(record_layout::json, json_fields, set);
}

const std::vector<field_plan> csv_fields = {
    csv_field(0, field_type::string),
    csv_field(1, field_type::int64),
    csv_field(1, field_type::float64),
    csv_field(4, field_type::string),
    csv_field(5, field_type::boolean),
    csv_field(40, field_type::string),
    csv_field(3, field_type::timestamp, time_format::rfc3339)};

TEST(extract_parity, lines_of_csv_whole_and_damaged) {
  document_maker maker(4);
  static constexpr const char* parts[] = {"12",   "-3.5", "\"a,b\"", "\"say \"\"hi\"\"\"",   "",
                                          "\"\"", "text", "true",    "2026-01-31T12:00:00Z", "a\"b",
                                          "é"};
  record_set set;
  for (int i = 0; i < 20'000; ++i) {
    std::string line;
    for (std::size_t n = maker.pick(12); n > 0; --n)
      line += std::string(parts[maker.pick(std::size(parts))]) + ",";
    if (maker.pick(3) == 0) line += "\r\n";
    set.add(maker.pick(2) == 0 ? line : damaged(line, maker));
  }
  expect_same_everywhere(record_layout::csv, csv_fields, set);
}

TEST(extract_parity, lines_of_access_logs_whole_and_damaged) {
  std::vector<field_plan> fields;
  for (int part = 0; part <= static_cast<int>(access_log_part::agent); ++part)
    fields.push_back(log_field(static_cast<access_log_part>(part), field_type::string));
  fields.push_back(log_field(access_log_part::time, field_type::timestamp));
  fields.push_back(log_field(access_log_part::bytes, field_type::int64));
  document_maker maker(5);
  record_set set;
  const std::string line =
      R"(83.149.9.216 - "Jo X" [17/May/2015:10:05:03 +0000] "GET /a?q=\"x\" HTTP/1.1" 200 203023 )"
      R"~("http://example.net/" "Mozilla/5.0 (\"quoted\" \\ x)")~";
  for (std::size_t size = 0; size <= line.size(); ++size)
    set.add(line.substr(0, size));
  for (int i = 0; i < 10'000; ++i)
    set.add(damaged(line, maker));
  expect_same_everywhere(record_layout::access_log, fields, set);
}

TEST(extract_parity, binary_records_of_any_length) {
  std::vector<field_plan> fields;
  std::uint32_t offset = 0;
  for (int kind = 0; kind <= static_cast<int>(binary_kind::text); ++kind) {
    for (const bool big : {false, true}) {
      for (const field_type type : {field_type::int64, field_type::float64, field_type::boolean,
                                    field_type::timestamp, field_type::string}) {
        field_plan field{.name = "binary",
                         .type = type,
                         .source = binary_source{.offset = offset,
                                                 .bytes = 5,
                                                 .kind = static_cast<binary_kind>(kind),
                                                 .big_endian = big},
                         .format = time_format::milliseconds};
        const std::vector<field_plan> alone = {field};
        if (!extractor::compile(record_layout::binary, ',', alone).ok()) continue;
        if (fields.size() < limits::extract_fields_max) fields.push_back(field);
        offset = (offset + 3) % 40;
      }
    }
  }
  std::mt19937_64 random(6);
  record_set set;
  for (int i = 0; i < 3'000; ++i) {
    std::string data(random() % 60, '\0');
    for (char& c : data)
      c = static_cast<char>(i % 3 == 0   ? '0' + random() % 10
                            : i % 3 == 1 ? random() % 2
                                         : random());
    set.add(data);
  }
  expect_same_everywhere(record_layout::binary, fields, set);
}

/// What simdjson finds at the path, shown as test::show() does.
std::string by_simdjson(simdjson::dom::element at, const std::vector<std::string>& names,
                        field_type type) {
  for (const std::string& name : names) {
    simdjson::dom::element next;
    const bool element = !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    const auto failure = element ? at.at(std::stoul(name)).get(next) : at.at_key(name).get(next);
    if (failure) return "missing";
    at = next;
  }
  if (at.is_null()) return "missing";
  char text[64];
  switch (type) {
    case field_type::int64: {
      std::int64_t value;
      return at.get(value) ? "wrong_type" : std::to_string(value);
    }
    case field_type::float64: {
      double value;
      if (at.get(value)) return "wrong_type";
      // It reads -0 as a whole number, which has no sign there.
      std::snprintf(text, sizeof text, "%a", value == 0 ? 0.0 : value);
      return text;
    }
    case field_type::boolean: {
      bool value;
      return at.get(value) ? "wrong_type" : value ? "true" : "false";
    }
    default: {
      std::string_view value;
      return at.get(value) ? "wrong_type" : "'" + std::string(value) + "'";
    }
  }
}

struct wanted_value {
  field_plan field;
  std::vector<std::string> names;
};

/// How many of the documents simdjson takes.
std::size_t expect_as_simdjson(const std::vector<std::string>& documents,
                               const std::vector<wanted_value>& wanted) {
  std::vector<field_plan> fields;
  for (const wanted_value& one : wanted)
    fields.push_back(one.field);
  record_set set;
  for (const std::string& document : documents)
    set.add(document);
  const extractor plan = test::compiled(record_layout::json, fields);
  std::vector<field_value> values(fields.size() * documents.size());
  plan.extract(set.records(), values.data(), documents.size());

  simdjson::dom::parser parser;
  std::size_t valid = 0;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    simdjson::dom::element root;
    if (parser.parse(documents[i]).get(root)) continue;
    if (!root.is_object() && !root.is_array()) continue;  // no fields in that: no document for us
    ++valid;
    for (std::size_t f = 0; f < fields.size(); ++f) {
      const std::string seen = show(values[f * documents.size() + i], fields[f].type);
      EXPECT_EQ(seen == "-0x0p+0" ? "0x0p+0" : seen,
                by_simdjson(root, wanted[f].names, fields[f].type))
          << fields[f].name << " of " << documents[i];
      if (testing::Test::HasFailure()) return valid;
    }
  }
  return valid;
}

TEST(extract_parity, generated_documents_give_what_simdjson_finds) {
  const std::vector<wanted_value> wanted = {
      {json_field("a", field_type::int64), {"a"}},
      {json_field("b", field_type::string), {"b"}},
      {json_field("c", field_type::float64), {"c"}},
      {json_field("c.d", field_type::float64), {"c", "d"}},
      {json_field("c.e[1]", field_type::boolean), {"c", "e", "1"}},
      {json_field("c.e[3].f", field_type::string), {"c", "e", "3", "f"}},
      {json_field("e[0][1]", field_type::string), {"e", "0", "1"}},
      {json_field("long_name_of_a_field", field_type::float64), {"long_name_of_a_field"}},
      {json_field("d", field_type::int64), {"d"}},
      {json_field("f", field_type::boolean), {"f"}},
      {json_field("[\"q\\\"k\"]", field_type::string), {"q\"k"}},
      {json_field("[2]", field_type::string), {"2"}}};
  document_maker maker(7);
  std::vector<std::string> documents;
  for (int i = 0; i < 30'000; ++i)
    documents.push_back(maker.make());
  EXPECT_GT(expect_as_simdjson(documents, wanted), documents.size() / 2);
  for (std::string& document : documents)
    document = damaged(document, maker);
  EXPECT_GT(expect_as_simdjson(documents, wanted), 100u);
}

TEST(extract_parity, nginx_status_documents_give_what_simdjson_finds) {
  const char* const given = std::getenv("MILLRACE_TEST_DATA");
  const std::string path =
      std::string(given != nullptr ? given : "../shared/data") + "/nginx_plus.jsonl";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "skipped: there is no " << path;
  std::vector<std::string> documents;
  for (std::string line; std::getline(file, line);)
    documents.push_back(line);
  const std::vector<wanted_value> wanted = {
      {json_field("timestamp", field_type::int64), {"timestamp"}},
      {json_field("nginx_version", field_type::string), {"nginx_version"}},
      {json_field("requests.total", field_type::int64), {"requests", "total"}},
      {json_field("server_zones[\"hg.nginx.org\"].responses.2xx", field_type::int64),
       {"server_zones", "hg.nginx.org", "responses", "2xx"}},
      {json_field("upstreams.trac-backend.peers[1].state", field_type::string),
       {"upstreams", "trac-backend", "peers", "1", "state"}},
      {json_field("upstreams.lxr-backend.peers[1].health_checks.last_passed", field_type::boolean),
       {"upstreams", "lxr-backend", "peers", "1", "health_checks", "last_passed"}},
      {json_field("upstreams.hg-backend.peers[7].state", field_type::string),
       {"upstreams", "hg-backend", "peers", "7", "state"}}};
  EXPECT_EQ(expect_as_simdjson(documents, wanted), documents.size());
  EXPECT_GT(documents.size(), 0u);
}

}  // namespace
}  // namespace millrace
