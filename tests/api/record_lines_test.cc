#include "api/record_lines.h"

#include <string>

#include <gtest/gtest.h>

#include "api/json_text.h"
#include "tests/api/kpl_writer.h"

namespace millrace {
namespace {

std::string line_of(std::string_view data) {
  std::string out = R"({"stream":"sequence","shard":"shardId-000000000000","sequence":"495",)"
                    R"("arrival_us":17,"key":"outer",)";
  append_data_member(out, kpl_bytes(data));
  return out + "}";
}

TEST(record_lines, a_records_data_comes_back_as_text_or_as_base64) {
  for (const std::string data : {"plain \"text\"", "\xff\x00\x01"}) {
    const auto parsed = parse_record_line(line_of(data), true);
    ASSERT_TRUE(parsed.ok());
    EXPECT_FALSE(parsed->is_cursor);
    EXPECT_EQ(parsed->data, data);
  }
}

TEST(record_lines, the_cursor_is_told_from_a_record) {
  const auto parsed = parse_record_line(R"({"cursor":"0:17","caught_up":true})", false);
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->is_cursor);
  EXPECT_EQ(parsed->cursor, "0:17");
  EXPECT_TRUE(parsed->caught_up);
}

TEST(record_lines, the_records_of_an_aggregate_are_lines_with_numbers_of_their_own) {
  const std::string data =
      kpl_aggregate(kpl_field(1, "k\"1") + kpl_field(1, "k2") + kpl_field(2, "99") +
                    kpl_record_field(0, std::nullopt, "text") + kpl_record_field(1, 0, "\xff"));
  const auto parts = split_record_line(line_of(data));
  ASSERT_TRUE(parts.ok());
  ASSERT_EQ(parts->size(), 2u);
  const std::string head =
      R"({"stream":"sequence","shard":"shardId-000000000000","sequence":"495",)";
  EXPECT_EQ((*parts)[0].line,
            head + R"("subsequence":0,"arrival_us":17,"key":"k\"1","data":"text"})");
  EXPECT_EQ((*parts)[1].line, head + R"("subsequence":1,"arrival_us":17,"key":"k2",)" +
                                  R"("explicit_hash_key":"99","data_base64":"/w=="})");
  EXPECT_EQ((*parts)[1].data, "\xff");
}

TEST(record_lines, a_plain_record_has_no_parts) {
  for (const std::string data : {"text", "\xf3\x89\x9a\xc2 and no more"}) {
    const auto parts = split_record_line(line_of(data));
    ASSERT_TRUE(parts.ok());
    EXPECT_TRUE(parts->empty());
  }
}

TEST(record_lines, what_is_no_answer_of_a_server_is_an_error) {
  EXPECT_FALSE(split_record_line(R"({"data_base64":"no base64"})").ok());
  EXPECT_FALSE(split_record_line(R"(["data_base64":)").ok());
  EXPECT_FALSE(parse_record_line("<html>", true).ok());
}

}  // namespace
}  // namespace millrace
