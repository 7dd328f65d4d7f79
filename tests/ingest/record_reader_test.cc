#include "ingest/record_reader.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace millrace {
namespace {

class record_reader_test : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("millrace-reader-" + std::to_string(getpid()) + "-" +
             testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  void open(input_format format, const std::string& key_field = {}) {
    auto opened = record_reader::open({.path = path_, .format = format, .key_field = key_field});
    ASSERT_TRUE(opened.ok()) << opened.failure().message();
    reader_ = std::move(*opened);
  }
  /// "key=data", or the error's message, or "end".
  std::string next() {
    input_record record;
    const auto found = reader_->next(record);
    if (!found.ok()) return found.failure().message();
    if (!*found) return "end";
    return std::string(record.key) + "=" +
           std::string(reinterpret_cast<const char*>(record.data.data()), record.data.size());
  }

  std::filesystem::path path_;
  std::unique_ptr<record_reader> reader_;
};

TEST_F(record_reader_test, lines_are_records_with_either_line_end_and_also_empty_ones) {
  write("first\n\nthird\r\nlast");
  open(input_format::lines);
  EXPECT_EQ(next(), "0=first");
  EXPECT_EQ(next(), "1=");
  EXPECT_EQ(next(), "2=third");
  EXPECT_EQ(next(), "3=last");
  EXPECT_EQ(next(), "end");
}

TEST_F(record_reader_test, an_empty_file_has_no_records) {
  write("");
  open(input_format::lines);
  EXPECT_EQ(next(), "end");
}

TEST_F(record_reader_test, the_key_of_a_line_is_a_token_counted_from_one) {
  write("10.0.0.1 - \"GET /\"\n  10.0.0.2\tx\nalone\n");
  open(input_format::lines, "2");
  EXPECT_EQ(next(), "-=10.0.0.1 - \"GET /\"");
  EXPECT_EQ(next(), "x=  10.0.0.2\tx");
  EXPECT_EQ(next(), "record 2: no token 2 for the key");
  EXPECT_EQ(next(), "end");
}

TEST_F(record_reader_test, a_key_field_that_cannot_be_is_refused_at_once) {
  write("a\n");
  EXPECT_FALSE(record_reader::open({.path = path_, .key_field = "0"}).ok());
  EXPECT_FALSE(record_reader::open({.path = path_, .key_field = "name"}).ok());
  write("a,b\n1,2\n");
  EXPECT_FALSE(
      record_reader::open({.path = path_, .format = input_format::csv, .key_field = "c"}).ok());
  EXPECT_FALSE(
      record_reader::open({.path = path_, .format = input_format::csv, .key_field = "3"}).ok());
}

TEST_F(record_reader_test, json_keys_are_found_by_path_whatever_their_type) {
  write(
      "{\"user\":{\"id\":\"a\\u00e9\\\"b\"}}\n\n"
      "{\"user\":{\"id\":42}}\n{\"user\":{\"id\":-1.5}}\n{\"user\":{\"id\":true}}\n"
      "{\"user\":{\"id\":null}}\n{\"user\":7}\n[1]\n{\"user\":\n{\"user\":{\"id\":\"\"}}\n");
  open(input_format::json, "user.id");
  EXPECT_EQ(next(), "a\u00e9\"b={\"user\":{\"id\":\"a\\u00e9\\\"b\"}}");
  EXPECT_EQ(next(), "42={\"user\":{\"id\":42}}");
  EXPECT_EQ(next(), "-1.5={\"user\":{\"id\":-1.5}}");
  EXPECT_EQ(next(), "true={\"user\":{\"id\":true}}");
  EXPECT_EQ(next(), "record 4: field 'user.id' is no string, number or truth value");
  EXPECT_EQ(next(), "record 5: no field 'user.id' for the key");
  EXPECT_EQ(next(), "record 6: not a JSON object");
  EXPECT_TRUE(next().starts_with("record 7: not JSON: "));
  EXPECT_EQ(next(), "record 8: empty partition key (0 bytes)");
  EXPECT_EQ(next(), "end");
}

TEST_F(record_reader_test, csv_rows_are_sent_as_they_stand_and_may_span_lines) {
  write("\xef\xbb\xbfname,note,id\r\nann,\"a,b\n\"\"c\"\"\",1\r\nbob,,2\nbad,row\n\"c\"\"d\",x,3");
  open(input_format::csv, "name");
  EXPECT_EQ(next(), "ann=ann,\"a,b\n\"\"c\"\"\",1");
  EXPECT_EQ(next(), "bob=bob,,2");
  EXPECT_EQ(next(), "record 2: 2 columns where the header has 3");
  EXPECT_EQ(next(), "c\"d=\"c\"\"d\",x,3");
  EXPECT_EQ(next(), "end");
  open(input_format::csv, "3");
  EXPECT_TRUE(next().starts_with("1="));
}

TEST_F(record_reader_test, an_open_quote_at_the_end_is_an_error_and_not_a_record) {
  write("a,b\n1,\"2\n3,4\n");
  open(input_format::csv, "a");
  EXPECT_EQ(next(), "record 0: a quoted field is not closed");
  EXPECT_EQ(next(), "end");
}

TEST_F(record_reader_test, a_key_that_is_too_long_or_no_text_is_named_with_its_record) {
  write("ok\n" + std::string(257, 'k') + "\n\xff\xfe\nok\n");
  open(input_format::lines, "1");
  EXPECT_EQ(next(), "ok=ok");
  EXPECT_EQ(next(), "record 1: partition key over 256 characters (257 bytes)");
  EXPECT_EQ(next(), "record 2: partition key is not UTF-8 (2 bytes)");
  EXPECT_EQ(next(), "ok=ok");
}

TEST_F(record_reader_test, a_record_that_is_too_large_is_passed_over) {
  std::string text = "a\n";
  text += std::string(12 << 20, 'x') + "\n" + std::string(10 << 20, 'y') + "\nb\n";
  write(text);
  open(input_format::lines, {});
  EXPECT_EQ(next(), "0=a");
  EXPECT_EQ(next(), "record 1: over the limit of 10485760 bytes");
  EXPECT_EQ(next(), "record 2: key and data of 10485761 bytes are over the limit of 10485760");
  EXPECT_EQ(next(), "3=b");
  EXPECT_EQ(next(), "end");
}

TEST_F(record_reader_test, large_and_many_lines_cross_the_buffers_ends_whole) {
  std::string text;
  for (int i = 0; i < 2'000; ++i)
    text +=
        std::to_string(i) + ":" + std::string(static_cast<std::size_t>(i * 7 % 3'000), 'z') + "\n";
  write(text);
  open(input_format::lines);
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_EQ(next(), std::to_string(i) + "=" + std::to_string(i) + ":" +
                          std::string(static_cast<std::size_t>(i * 7 % 3'000), 'z'));
  }
  EXPECT_EQ(next(), "end");
  EXPECT_EQ(reader_->bytes_read(), text.size());
  EXPECT_EQ(reader_->bytes_total(), text.size());
}

TEST_F(record_reader_test, a_second_round_counts_on) {
  write("h\nx\ny\n");
  open(input_format::csv);
  EXPECT_EQ(next(), "0=x");
  EXPECT_EQ(next(), "1=y");
  EXPECT_EQ(next(), "end");
  ASSERT_TRUE(reader_->rewind().ok());
  EXPECT_EQ(next(), "2=x");
}

TEST_F(record_reader_test, a_missing_file_and_a_directory_are_named) {
  const auto missing = record_reader::open({.path = "/nonexistent/file"});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.failure().code(), error_code::not_found);
  EXPECT_FALSE(record_reader::open({.path = "/"}).ok());
}

}  // namespace
}  // namespace millrace
