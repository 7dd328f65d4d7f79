#include "api/json_text.h"

#include <random>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace millrace {
namespace {

byte_view bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(json_text, a_parser_reads_back_every_string_of_valid_text) {
  std::mt19937_64 random(7);
  const std::string_view pieces[] = {"a",    "\"", "\\", "\n", "\x01",
                                     "\x7f", "ä",  "€",  "😀",  "0123456789abcdef"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::uint64_t i = random() % 40; i > 0; --i)
      text += pieces[random() % std::size(pieces)];
    ASSERT_TRUE(is_utf8(text));
    EXPECT_EQ(nlohmann::json::parse(json_string(text)).get<std::string>(), text);
  }
}

TEST(json_text, bytes_that_are_no_utf8_become_replacement_characters) {
  EXPECT_EQ(json_string("a\xff"
                        "b"),
            "\"a\xef\xbf\xbd"
            "b\"");
  EXPECT_EQ(json_string("\xc3"), "\"\xef\xbf\xbd\"");
  // An overlong slash, a surrogate, and a point beyond the last.
  for (const char* bad : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
    EXPECT_NO_THROW(nlohmann::json::parse(json_string(bad)));
  }
}

TEST(json_text, base64_of_every_length_is_read_back) {
  std::mt19937_64 random(11);
  for (std::size_t length = 0; length < 200; ++length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes)
      byte = static_cast<char>(random());
    std::string text;
    append_base64(text, bytes_of(bytes));
    EXPECT_EQ(text.size(), (length + 2) / 3 * 4);
    std::string again;
    ASSERT_TRUE(decode_base64(text, again));
    EXPECT_EQ(again, bytes);
  }
}

TEST(json_text, base64_as_rfc_4648_has_it) {
  std::string text;
  append_base64(text, bytes_of("fooba"));
  EXPECT_EQ(text, "Zm9vYmE=");
}

TEST(json_text, what_is_no_base64_is_refused) {
  for (const char* bad : {"Zg", "Zg=", "Z===", "Zg=a", "Zg==Zg==", "Z!==", "===="}) {
    std::string out;
    EXPECT_FALSE(decode_base64(bad, out)) << bad;
  }
}

}  // namespace
}  // namespace millrace
