// Fields out of CSV, access logs, binary layouts and the record itself, by what is written in the
// test.
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "tests/gpu/extract_fixture.h"

namespace millrace {
namespace {

using test::csv_field;
using test::extracted;
using test::log_field;

std::string csv(std::string_view line, std::uint32_t column, field_type type = field_type::string,
                char delimiter = ',') {
  return extracted(record_layout::csv, {csv_field(column, type)}, line, delimiter);
}

TEST(extract_csv, columns_are_found_by_number) {
  EXPECT_EQ(csv("a,b,c", 0), "'a'");
  EXPECT_EQ(csv("a,b,c", 2), "'c'");
  EXPECT_EQ(csv("a,b,c\r\n", 2), "'c'");
  EXPECT_EQ(csv("a,b,c", 3), "missing");
  EXPECT_EQ(csv("a,b\nc,d,e", 2), "missing");
  EXPECT_EQ(csv("a;b,c;d", 1, field_type::string, ';'), "'b,c'");
  EXPECT_EQ(csv("", 0), "missing");
  EXPECT_EQ(csv("a,,c", 1), "missing");
  EXPECT_EQ(csv("a,\"\",c", 1), "''");
  EXPECT_EQ(csv("a,", 1), "missing");
}

TEST(extract_csv, quotes_hide_delimiters_line_ends_and_quotes) {
  EXPECT_EQ(csv("\"a,b\",c", 0), "'a,b'");
  EXPECT_EQ(csv("\"a,b\",c", 1), "'c'");
  EXPECT_EQ(csv("\"a\nb\",c", 1), "'c'");
  EXPECT_EQ(csv("\"say \"\"hi\"\"\",c", 0), "'say \"hi\"'");
  EXPECT_EQ(csv("\"\"\"\"", 0), "'\"'");
  EXPECT_EQ(csv("\"a\"\r\n", 0), "'a'");
  EXPECT_EQ(csv("a\"b,c", 0), "'a\"b'");
  EXPECT_EQ(csv("\"a\"b,c", 0), "wrong_type");
  EXPECT_EQ(csv("\"a\"b,c", 1), "wrong_type");
  EXPECT_EQ(csv("x,\"a", 1), "wrong_type");
  EXPECT_EQ(csv("x,\"a", 0), "'x'");
}

TEST(extract_csv, converts_by_the_rules) {
  EXPECT_EQ(csv(" 12 ,b", 0, field_type::int64), "12");
  EXPECT_EQ(csv("+007", 0, field_type::int64), "7");
  EXPECT_EQ(csv("\"12\"", 0, field_type::int64), "12");
  EXPECT_EQ(csv("1.5", 0, field_type::int64), "wrong_type");
  EXPECT_EQ(csv("99999999999999999999", 0, field_type::int64), "wrong_type");
  EXPECT_EQ(csv(".5", 0, field_type::float64), "0x1p-1");
  EXPECT_EQ(csv("nan", 0, field_type::float64), "wrong_type");
  EXPECT_EQ(csv("TRUE,b", 0, field_type::boolean), "true");
  EXPECT_EQ(csv("0,b", 0, field_type::boolean), "false");
  EXPECT_EQ(csv("yes,b", 0, field_type::boolean), "wrong_type");
  EXPECT_EQ(csv("1446249499.5", 0, field_type::timestamp), "1446249499500000");
  EXPECT_EQ(csv("\xff", 0), "wrong_type");
}

constexpr std::string_view combined =
    R"~(83.149.9.216 - Jo [17/May/2015:10:05:03 +0000] "GET /a b?q=\"x\"&y=\x41 HTTP/1.1" 200 203023 "-" "Moz (\"q\" \\ z)")~";

std::string part(access_log_part which, std::string_view line = combined,
                 field_type type = field_type::string) {
  return extracted(record_layout::access_log, {log_field(which, type)}, line);
}

TEST(extract_access_log, every_part_of_the_combined_format) {
  EXPECT_EQ(part(access_log_part::host), "'83.149.9.216'");
  EXPECT_EQ(part(access_log_part::ident), "missing");
  EXPECT_EQ(part(access_log_part::user), "'Jo'");
  EXPECT_EQ(part(access_log_part::time), "'17/May/2015:10:05:03 +0000'");
  EXPECT_EQ(part(access_log_part::time, combined, field_type::timestamp), "1431857103000000");
  EXPECT_EQ(part(access_log_part::request), R"('GET /a b?q="x"&y=\x41 HTTP/1.1')");
  EXPECT_EQ(part(access_log_part::method), "'GET'");
  EXPECT_EQ(part(access_log_part::path), R"('/a b?q="x"&y=\x41')");
  EXPECT_EQ(part(access_log_part::protocol), "'HTTP/1.1'");
  EXPECT_EQ(part(access_log_part::status, combined, field_type::int64), "200");
  EXPECT_EQ(part(access_log_part::bytes, combined, field_type::int64), "203023");
  EXPECT_EQ(part(access_log_part::referrer), "missing");
  EXPECT_EQ(part(access_log_part::agent), R"('Moz ("q" \ z)')");
}

TEST(extract_access_log, the_common_format_and_odd_requests) {
  constexpr std::string_view common =
      "h - - [17/May/2015:10:05:03 +0000] \"GET /index.html\" 304 -\r\n";
  EXPECT_EQ(part(access_log_part::path, common), "'/index.html'");
  EXPECT_EQ(part(access_log_part::protocol, common), "missing");
  EXPECT_EQ(part(access_log_part::bytes, common, field_type::int64), "missing");
  EXPECT_EQ(part(access_log_part::agent, common), "missing");
  EXPECT_EQ(part(access_log_part::user, "h - John Doe [t] \"x\" 1 2"), "'John Doe'");
  EXPECT_EQ(part(access_log_part::method, "h - - [t] \"\\x16\\x03\" 400 0"), "missing");
  EXPECT_EQ(part(access_log_part::request, "h - - [t] \"\\x16\\x03\" 400 0"), "'\\x16\\x03'");
  EXPECT_EQ(part(access_log_part::request, "h - - [t] \"-\" 408 0"), "missing");
}

TEST(extract_access_log, what_a_broken_line_does_not_give_is_of_the_wrong_type) {
  const std::string_view cut = combined.substr(0, combined.size() - 1);
  EXPECT_EQ(part(access_log_part::host, cut), "'83.149.9.216'");
  EXPECT_EQ(part(access_log_part::agent, cut), "wrong_type");
  EXPECT_EQ(part(access_log_part::status, "h - - [t] GET / 200", field_type::int64), "wrong_type");
  EXPECT_EQ(part(access_log_part::host, ""), "wrong_type");
  EXPECT_EQ(part(access_log_part::status, "h - - [t] \"GET /\" abc 1", field_type::int64),
            "wrong_type");
}

/// The expected figures are those of a Python program over the same file: the common regular
/// expression for the format, and datetime.strptime.
TEST(extract_access_log, a_real_log_adds_up_to_what_another_program_counts) {
  const char* const given = std::getenv("MILLRACE_TEST_DATA");
  const std::string path =
      std::string(given != nullptr ? given : "../shared/data") + "/apache_access.log";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "skipped: there is no " << path;
  test::record_set set;
  for (std::string line; std::getline(file, line);)
    set.add(line);
  const std::vector<field_plan> fields = {log_field(access_log_part::host, field_type::string),
                                          log_field(access_log_part::time, field_type::timestamp),
                                          log_field(access_log_part::method, field_type::string),
                                          log_field(access_log_part::status, field_type::int64),
                                          log_field(access_log_part::bytes, field_type::int64),
                                          log_field(access_log_part::referrer, field_type::string),
                                          log_field(access_log_part::agent, field_type::string)};
  const extractor plan = test::compiled(record_layout::access_log, fields);
  const std::size_t count = set.records().size();
  std::vector<field_value> values(fields.size() * count);
  plan.extract(set.records(), values.data(), count);
  std::set<std::string> hosts, agents;
  std::map<std::string, int> methods;
  std::map<std::uint64_t, int> statuses;
  std::uint64_t bytes = 0, seconds = 0;
  int whole = 0, without_referrer = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = [&](std::size_t field) -> const field_value& {
      return values[field * count + i];
    };
    // One line of the file has no closing quote behind its agent.
    if (value(6).state == value_state::wrong_type) continue;
    ++whole;
    hosts.insert(test::text_of(value(0)));
    seconds += value(1).bits / 1'000'000;
    ++methods[test::text_of(value(2))];
    ++statuses[value(3).bits];
    bytes += value(4).is_null() ? 0 : value(4).bits;
    without_referrer += value(5).is_null() ? 1 : 0;
    agents.insert(value(6).is_null() ? "-" : test::text_of(value(6)));
  }
  EXPECT_EQ(whole, 9999);
  EXPECT_EQ(bytes, 2'747'282'505u);
  EXPECT_EQ(seconds, 14'318'632'076'749u);
  EXPECT_EQ(hosts.size(), 1753u);
  EXPECT_EQ(agents.size(), 558u);
  EXPECT_EQ(without_referrer, 4072);
  EXPECT_EQ(methods,
            (std::map<std::string, int>{{"GET", 9951}, {"HEAD", 42}, {"OPTIONS", 1}, {"POST", 5}}));
  EXPECT_EQ(statuses, (std::map<std::uint64_t, int>{{200, 9125},
                                                    {206, 45},
                                                    {301, 164},
                                                    {304, 445},
                                                    {403, 2},
                                                    {404, 213},
                                                    {416, 2},
                                                    {500, 3}}));
}

std::string binary(std::string_view data, binary_source source, field_type type,
                   time_format format = time_format::milliseconds) {
  return extracted(record_layout::binary,
                   {{.name = "b", .type = type, .source = source, .format = format}}, data);
}

TEST(extract_binary, numbers_of_every_kind) {
  const std::string_view bytes("\xfe\xff\xff\xff\xff\xff\xff\xff", 8);
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::i8}, field_type::int64), "-2");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::u8}, field_type::int64), "254");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::i16}, field_type::int64), "-2");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::u16, .big_endian = true}, field_type::int64),
            "65279");
  EXPECT_EQ(binary(bytes, {.offset = 4, .kind = binary_kind::u32}, field_type::int64),
            "4294967295");
  EXPECT_EQ(binary(bytes, {.offset = 5, .kind = binary_kind::u32}, field_type::int64), "missing");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::i64}, field_type::float64), "-0x1p+1");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::u64}, field_type::int64), "wrong_type");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::u64}, field_type::float64), "0x1p+64");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::f64}, field_type::float64), "wrong_type");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::i8}, field_type::boolean), "wrong_type");
  EXPECT_EQ(binary(bytes, {.kind = binary_kind::i64}, field_type::timestamp), "-2000");
}

TEST(extract_binary, floats_that_are_times_are_rounded_to_the_microsecond) {
  const auto time_of = [](double seconds) {
    return binary({reinterpret_cast<const char*>(&seconds), sizeof seconds},
                  {.kind = binary_kind::f64}, field_type::timestamp, time_format::seconds);
  };
  EXPECT_EQ(time_of(1446249499.322), "1446249499322000");
  EXPECT_EQ(time_of(-1.25), "-1250000");
  EXPECT_EQ(time_of(0), "0");
  EXPECT_EQ(time_of(1e-9), "0");
  EXPECT_EQ(time_of(1e300), "wrong_type");
  EXPECT_EQ(time_of(253402300799.0), "253402300799000000");
  EXPECT_EQ(time_of(253402300800.0), "wrong_type");
}

TEST(extract_binary, texts_end_at_their_padding) {
  const binary_source text{.offset = 1, .bytes = 6, .kind = binary_kind::text};
  EXPECT_EQ(binary(std::string_view("xab\0cdefg", 9), text, field_type::string), "'ab'");
  EXPECT_EQ(binary("xab    fg", text, field_type::string), "'ab'");
  EXPECT_EQ(binary("xabcdef", text, field_type::string), "'abcdef'");
  EXPECT_EQ(binary("xabcde", text, field_type::string), "missing");
  EXPECT_EQ(binary("x      ", text, field_type::string), "''");
  EXPECT_EQ(binary("x      ", text, field_type::int64), "missing");
  EXPECT_EQ(binary("x    12", text, field_type::int64), "12");
}

TEST(extract_builtin, what_the_record_itself_says) {
  const auto of = [](builtin_field which, field_type type) {
    return extracted(record_layout::none, {{.name = "b", .type = type, .source = which}}, "12345");
  };
  EXPECT_EQ(of(builtin_field::partition_key, field_type::string), "'k'");
  EXPECT_EQ(of(builtin_field::arrival_time, field_type::timestamp), "1700000000000000");
  EXPECT_EQ(of(builtin_field::shard, field_type::int64), "3");
  EXPECT_EQ(of(builtin_field::record_number, field_type::int64), "1000");
  EXPECT_EQ(of(builtin_field::record_bytes, field_type::int64), "5");
}

std::string refusal(record_layout layout, const field_plan& field, char delimiter = ',') {
  const auto made = extractor::compile(layout, delimiter, {&field, 1});
  return made.ok() ? "none" : made.failure().message();
}

TEST(extract_compile, names_the_field_and_what_is_wrong_with_it) {
  EXPECT_EQ(refusal(record_layout::json, csv_field(1, field_type::int64)),
            "field 'column': comes from csv, but the view's layout is json");
  EXPECT_EQ(refusal(record_layout::csv, csv_field(70'000, field_type::int64)),
            "field 'column': column 70000 is not below csv_columns_max 65536");
  EXPECT_EQ(refusal(record_layout::csv, csv_field(1, field_type::int64), '"'),
            "a quote, line feed or carriage return cannot be the CSV delimiter");
  EXPECT_EQ(refusal(record_layout::access_log, log_field(access_log_part::path, field_type::int64)),
            "field 'part': path of an access log cannot be read as int64");
  EXPECT_EQ(refusal(record_layout::none,
                    {.name = "s", .type = field_type::string, .source = builtin_field::shard}),
            "field 's': shard cannot be read as string");
  EXPECT_EQ(refusal(record_layout::binary,
                    {.name = "x",
                     .type = field_type::int64,
                     .source = binary_source{.offset = 1, .kind = binary_kind::f64}}),
            "field 'x': f64 cannot be read as int64");
  EXPECT_EQ(refusal(record_layout::binary,
                    {.name = "x",
                     .type = field_type::int64,
                     .source = binary_source{.offset = 10 << 20, .kind = binary_kind::i64}}),
            "field 'x': ends at byte 10485768, over record_payload_bytes_max 10485760");
  const std::vector<field_plan> many(65, csv_field(0, field_type::string));
  const auto made = extractor::compile(record_layout::csv, ',', many);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.failure().message(), "65 fields are over extract_fields_max 64");
}

TEST(extract_compile, the_tables_mean_the_same_wherever_they_are_copied_to) {
  const std::vector<field_plan> fields = {test::json_field("x.y", field_type::float64)};
  const extractor plan = test::compiled(record_layout::json, fields);
  std::vector<std::byte> copy(plan.tables().begin(), plan.tables().end());
  test::record_set set;
  set.add(R"({"x":{"y":0.1}})");
  field_value value;
  extract_record({copy.data()}, set.records()[0], &value, 1);
  EXPECT_EQ(test::show(value, field_type::float64), "0x1.999999999999ap-4");
}

}  // namespace
}  // namespace millrace
