// Base64: known values, and every implementation against the one by table.
#include "base/base64.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/base/random_bytes.h"

namespace millrace {
namespace {

const base64_version& by_table() {
  return base64_versions().back();
}

/// With a sign behind its room, which has to stay.
std::string encoded(const base64_version& by, byte_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '~');
  by.encode(bytes, text.data());
  EXPECT_EQ(text.back(), '~') << by.name;
  text.pop_back();
  return text;
}

bool decodes(const base64_version& by, std::string_view text, std::vector<std::byte>& out) {
  out.assign(base64_decoded_bytes(text) + 1, std::byte{0x7e});
  const bool good = by.decode(text, out.data());
  EXPECT_EQ(out.back(), std::byte{0x7e}) << by.name;
  out.pop_back();
  return good;
}

TEST(base64, known_values_hold) {
  // RFC 4648, 10.
  const std::vector<std::pair<std::string_view, std::string_view>> known{{"", ""},
                                                                         {"f", "Zg=="},
                                                                         {"fo", "Zm8="},
                                                                         {"foo", "Zm9v"},
                                                                         {"foob", "Zm9vYg=="},
                                                                         {"fooba", "Zm9vYmE="},
                                                                         {"foobar", "Zm9vYmFy"}};
  for (const base64_version& one : base64_versions()) {
    for (const auto& [plain, text] : known)
      EXPECT_EQ(encoded(one, std::as_bytes(std::span(plain.data(), plain.size()))), text);
  }
}

TEST(base64, the_table_is_always_there) {
  EXPECT_STREQ(by_table().name, "table");
}

TEST(base64, all_versions_agree_on_every_small_size) {
  const auto bytes = random_bytes(700, 1);
  std::vector<std::byte> out;
  for (std::size_t size = 0; size <= 600; ++size) {
    const byte_view plain = byte_view(bytes).subspan(size % 17, size);
    const std::string text = encoded(by_table(), plain);
    for (const base64_version& one : base64_versions()) {
      ASSERT_EQ(encoded(one, plain), text) << one.name << ", " << size;
      ASSERT_TRUE(decodes(one, text, out)) << one.name << ", " << size;
      ASSERT_TRUE(std::equal(out.begin(), out.end(), plain.begin(), plain.end())) << one.name;
    }
  }
}

TEST(base64, all_versions_know_every_digit_and_refuse_every_other_character_at_every_place) {
  const std::string good = encoded(by_table(), random_bytes(150, 2));
  std::vector<std::byte> out;
  std::vector<std::byte> wanted;
  for (std::size_t place = 0; place < good.size(); ++place) {
    for (int c = 0; c < 256; ++c) {
      std::string text = good;
      text[place] = static_cast<char>(c);
      const bool is_good = decodes(by_table(), text, wanted);
      for (const base64_version& one : base64_versions()) {
        ASSERT_EQ(decodes(one, text, out), is_good) << one.name << ", " << c << " at " << place;
        if (!is_good) continue;
        ASSERT_EQ(out, wanted) << one.name << ", " << c << " at " << place;
      }
    }
  }
}

TEST(base64, text_that_is_no_multiple_of_four_is_refused) {
  const std::string good = encoded(by_table(), random_bytes(300, 3));
  std::vector<std::byte> out(300);
  for (const base64_version& one : base64_versions()) {
    for (const std::size_t size : {1, 2, 3, 5, 63, 65, 127, 129, 398})
      EXPECT_FALSE(one.decode(std::string_view(good).substr(0, size), out.data())) << one.name;
  }
}

TEST(base64, all_versions_decode_over_the_text_itself_and_before_it) {
  for (std::size_t size = 0; size <= 400; ++size) {
    const auto bytes = random_bytes(size, static_cast<std::uint32_t>(size));
    const std::string text = encoded(by_table(), bytes);
    for (const std::size_t before : {0, 1, 7, 40}) {
      for (const base64_version& one : base64_versions()) {
        std::string room = std::string(before, '!') + text;
        auto* const to = reinterpret_cast<std::byte*>(room.data());
        ASSERT_TRUE(one.decode(std::string_view(room).substr(before), to)) << one.name;
        ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), to)) << one.name << ", " << size;
      }
    }
  }
}

}  // namespace
}  // namespace millrace
