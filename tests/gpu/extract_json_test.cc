// Fields out of JSON documents, by what is written in the test.
#include "tests/gpu/extract_fixture.h"

namespace millrace {
namespace {

using test::extracted;
using test::json_field;

std::string from_json(std::string_view document, std::string path, field_type type,
                      time_format format = time_format::seconds) {
  return extracted(record_layout::json, {json_field(std::move(path), type, format)}, document);
}
std::string int_of(std::string_view document, std::string path = "a") {
  return from_json(document, std::move(path), field_type::int64);
}
std::string text_of(std::string_view document, std::string path = "a") {
  return from_json(document, std::move(path), field_type::string);
}

TEST(extract_json, finds_members_wherever_they_are) {
  EXPECT_EQ(int_of(R"({"a":1})"), "1");
  EXPECT_EQ(int_of(R"({ "x" : "a" , "a" : -12 })"), "-12");
  EXPECT_EQ(int_of(R"({"x":{"a":2,"y":[{"a":3}]},"a":4})"), "4");
  EXPECT_EQ(int_of(R"({"x":"\",\"a\":5","a":6})"), "6");
  EXPECT_EQ(int_of("\n\t{\r\n\"a\"\n:\n7\n}\n"), "7");
  EXPECT_EQ(int_of(R"({"b":1})"), "missing");
  EXPECT_EQ(int_of(R"({})"), "missing");
  EXPECT_EQ(int_of(R"({"a":null})"), "missing");
  EXPECT_EQ(int_of(R"({"long name with more than 8 bytes":8})", "long name with more than 8 bytes"),
            "8");
  EXPECT_EQ(int_of(R"({"long name with more than 8 bytex":8})", "long name with more than 8 bytes"),
            "missing");
}

TEST(extract_json, follows_paths_through_objects_and_arrays) {
  constexpr std::string_view document =
      R"({"peers":[{"state":"up","n":[1,2]},{"state":"down","n":[[],3,{"x":9}]}],"a.b":{"c":4},"e":[]})";
  EXPECT_EQ(text_of(document, "peers[0].state"), "'up'");
  EXPECT_EQ(text_of(document, "peers[1].state"), "'down'");
  EXPECT_EQ(text_of(document, "peers[2].state"), "missing");
  EXPECT_EQ(int_of(document, "peers[0].n[1]"), "2");
  EXPECT_EQ(int_of(document, "peers[1].n[1]"), "3");
  EXPECT_EQ(int_of(document, "peers[1].n[2].x"), "9");
  EXPECT_EQ(int_of(document, "[\"a.b\"].c"), "4");
  EXPECT_EQ(int_of(document, "a.b.c"), "missing");
  EXPECT_EQ(int_of(document, "e[0]"), "missing");
  EXPECT_EQ(int_of(document, "peers.state"), "missing");
  EXPECT_EQ(int_of("[[1],[2,[3]]]", "[1][1][0]"), "3");
}

TEST(extract_json, takes_many_fields_in_one_pass) {
  const std::vector<field_plan> fields = {
      json_field("z", field_type::int64),      json_field("a.b", field_type::int64),
      json_field("a.c[1]", field_type::int64), json_field("a", field_type::string),
      json_field("a.b", field_type::float64),  json_field("nothing", field_type::boolean),
      json_field("t", field_type::boolean)};
  EXPECT_EQ(extracted(record_layout::json, fields, R"({"t":true,"a":{"b":2,"c":[4,5]},"z":1})"),
            "1 2 5 wrong_type 0x1p+1 missing true");
  EXPECT_EQ(extracted(record_layout::json, fields, R"({"a":{"c":[4]},"z":1,"a":{"b":2},"t":3})"),
            "1 missing missing wrong_type missing missing wrong_type");
}

TEST(extract_json, converts_by_the_rules) {
  const auto one = [](std::string_view value, field_type type,
                      time_format format = time_format::seconds) {
    return from_json("{\"a\":" + std::string(value) + "}", "a", type, format);
  };
  EXPECT_EQ(one("\"12\"", field_type::int64), "wrong_type");
  EXPECT_EQ(one("1.5", field_type::int64), "wrong_type");
  EXPECT_EQ(one("1.0", field_type::int64), "wrong_type");
  EXPECT_EQ(one("true", field_type::int64), "wrong_type");
  EXPECT_EQ(one("null", field_type::int64), "missing");
  EXPECT_EQ(one("[1]", field_type::int64), "wrong_type");
  EXPECT_EQ(one("{\"b\":1}", field_type::int64), "wrong_type");
  EXPECT_EQ(one("9223372036854775808", field_type::int64), "wrong_type");
  EXPECT_EQ(one("9223372036854775808", field_type::float64), "0x1p+63");
  EXPECT_EQ(one("1e400", field_type::float64), "wrong_type");
  EXPECT_EQ(one("1e-400", field_type::float64), "0x0p+0");
  EXPECT_EQ(one("nul", field_type::float64), "wrong_type");
  EXPECT_EQ(one("1", field_type::boolean), "wrong_type");
  EXPECT_EQ(one("false", field_type::boolean), "false");
  EXPECT_EQ(one("12", field_type::string), "wrong_type");
  EXPECT_EQ(one("\"\"", field_type::string), "''");
  EXPECT_EQ(one("1446249499.322", field_type::timestamp), "1446249499322000");
  EXPECT_EQ(one("1446249499322", field_type::timestamp, time_format::milliseconds),
            "1446249499322000");
  EXPECT_EQ(one("\"1446249499\"", field_type::timestamp), "wrong_type");
  EXPECT_EQ(one("253402300800", field_type::timestamp), "wrong_type");
  EXPECT_EQ(
      one("\"17\\/May\\/2015:10:05:03 +0000\"", field_type::timestamp, time_format::access_log),
      "1431857103000000");
  EXPECT_EQ(one("\"2026-01-31T12:00:00Z\"", field_type::timestamp, time_format::rfc3339),
            "1769860800000000");
  EXPECT_EQ(one("1769860800", field_type::timestamp, time_format::rfc3339), "wrong_type");
}

TEST(extract_json, texts_are_read_as_they_are_meant) {
  EXPECT_EQ(text_of(R"({"a":"x\"\\\/\b\f\n\r\ty"})"), "'x\"\\/\b\f\n\r\ty'");
  EXPECT_EQ(text_of(R"({"a":"\u0041\u00e9\u6f22\ud83d\ude00"})"), "'Aé漢😀'");
  EXPECT_EQ(text_of("{\"a\":\"Aé漢😀\"}"), "'Aé漢😀'");
  EXPECT_EQ(text_of(R"({"\u0061":"by an escaped name"})"), "'by an escaped name'");
  EXPECT_EQ(text_of(R"({"\u006":"x","a":"y"})"), "'y'");
  for (const char* bad :
       {R"({"a":"\x"})", R"({"a":"\u12"})", R"({"a":"\ud83d"})", R"({"a":"\ud83dx\ude00"})",
        R"({"a":"\ude00"})", "{\"a\":\"\xff\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"x\ny\"}",
        "{\"a\":\"x\"\"y\"}"}) {
    EXPECT_EQ(text_of(bad), "wrong_type") << bad;
  }
}

TEST(extract_json, what_a_broken_document_does_not_give_is_of_the_wrong_type) {
  const std::vector<field_plan> fields = {json_field("a", field_type::int64),
                                          json_field("b", field_type::int64)};
  const auto both = [&](std::string_view document) {
    return extracted(record_layout::json, fields, document);
  };
  EXPECT_EQ(both("{\"a\":1,\"c\":"), "1 wrong_type");
  EXPECT_EQ(both("{\"a\":1,\"c\":[[[[1}"), "1 wrong_type");
  EXPECT_EQ(both("{\"a\":1 \"b\":2}"), "wrong_type wrong_type");
  EXPECT_EQ(both("{\"a\":1,b:2}"), "1 wrong_type");
  EXPECT_EQ(both("{\"a\":1}"), "1 missing");
  EXPECT_EQ(both("{\"a\":1]"), "1 wrong_type");
  EXPECT_EQ(both("{\"a\":1,\"b\":2"), "1 wrong_type");
  EXPECT_EQ(both("{\"a\":1,\"b\":2, what comes after does not matter"), "1 2");
  for (const char* none : {"", " ", "5", "\"a\"", "nonsense", "x{\"a\":1,\"b\":2}"})
    EXPECT_EQ(both(none), "wrong_type wrong_type") << none;
  EXPECT_EQ(both("[1,2]"), "missing missing");
}

TEST(extract_json, paths_that_are_none_are_refused) {
  for (const char* path : {"", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[1", "a[1]b",
                           "a[\"x]", "a[\"x\"", "a[-1]", "a[99999999999]"}) {
    const std::vector<field_plan> fields = {json_field(path, field_type::int64)};
    const auto made = extractor::compile(record_layout::json, ',', fields);
    ASSERT_FALSE(made.ok()) << path;
    EXPECT_EQ(made.failure().code(), error_code::invalid_argument);
    EXPECT_NE(made.failure().message().find("JSON path"), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace
