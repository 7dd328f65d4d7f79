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

}  // namespace
}  // namespace millrace
