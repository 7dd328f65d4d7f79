#include "api/kpl_aggregate.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/api/kpl_writer.h"

namespace millrace {
namespace {

std::string text_of(byte_view bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_plain(const std::string& data) {
  return !split_kpl_aggregate(kpl_bytes(data)).has_value();
}

/// Two keys and a hash key; three records.
std::string good_message() {
  const std::string tag = kpl_field(1, "name") + kpl_field(2, "value");
  const std::string tagged = kpl_field(1, 1) + kpl_field(3, "third") + kpl_field(4, tag);
  return kpl_field(1, "key-a") + kpl_field(1, "key-b") + kpl_field(2, "12345") +
         kpl_record_field(0, std::nullopt, "first") + kpl_record_field(1, 0, "") +
         kpl_field(3, tagged);
}

void expect_good(const std::string& data) {
  const auto records = split_kpl_aggregate(kpl_bytes(data));
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 3u);
  EXPECT_EQ((*records)[0].key, "key-a");
  EXPECT_EQ((*records)[0].explicit_hash_key, std::nullopt);
  EXPECT_EQ(text_of((*records)[0].data), "first");
  EXPECT_EQ((*records)[1].key, "key-b");
  EXPECT_EQ((*records)[1].explicit_hash_key, "12345");
  EXPECT_EQ(text_of((*records)[1].data), "");
  EXPECT_EQ((*records)[2].key, "key-b");
  EXPECT_EQ(text_of((*records)[2].data), "third");
}

TEST(kpl_aggregate, the_records_within_come_out_in_their_order) {
  expect_good(kpl_aggregate(good_message()));
}

TEST(kpl_aggregate, the_bytes_of_an_aggregate_are_those_of_the_format) {
  // The digest is Python's: keys ["a"], one record (0, "x").
  const std::string known(
      "\xf3\x89\x9a\xc2\x0a\x01\x61\x1a\x05\x08\x00\x1a\x01\x78"
      "\x27\x4f\xa4\xa2\x21\x60\x92\x41\x96\x6b\x02\xc7\xaf\xbf\x42\x83",
      30);
  EXPECT_EQ(kpl_aggregate(kpl_field(1, "a") + kpl_record_field(0, std::nullopt, "x")), known);
  const auto records = split_kpl_aggregate(kpl_bytes(known));
  ASSERT_TRUE(records);
  EXPECT_EQ(text_of(records->at(0).data), "x");
}

TEST(kpl_aggregate, fields_that_nobody_knows_and_tables_at_the_end_are_no_matter) {
  const std::string unknown = kpl_field(9, 7) + kpl_field(10, "later") + kpl_number(11 << 3 | 1) +
                              "12345678" + kpl_number(12 << 3 | 5) + "1234";
  expect_good(kpl_aggregate(unknown + good_message()));
  const std::string turned = kpl_record_field(0, std::nullopt, "x") + kpl_field(1, "key");
  EXPECT_FALSE(is_plain(kpl_aggregate(turned)));
}

TEST(kpl_aggregate, what_is_cut_off_or_changed_anywhere_is_a_plain_record) {
  const std::string good = kpl_aggregate(good_message());
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes)
    EXPECT_TRUE(is_plain(good.substr(0, bytes))) << bytes;
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_TRUE(is_plain(changed)) << at;
  }
  EXPECT_TRUE(is_plain(good + "x"));
}

TEST(kpl_aggregate, a_message_that_is_cut_off_is_none_also_when_its_digest_is_right) {
  const std::string message = good_message();
  const std::string head = kpl_field(1, "key-a") + kpl_field(1, "key-b") + kpl_field(2, "12345");
  for (std::size_t bytes = 0; bytes < message.size(); ++bytes) {
    const auto records = split_kpl_aggregate(kpl_bytes(kpl_aggregate(message.substr(0, bytes))));
    EXPECT_LT(records ? records->size() : 0, 3u) << bytes;
    EXPECT_TRUE(!records || bytes > head.size()) << bytes;
  }
}

TEST(kpl_aggregate, indexes_outside_their_tables_make_it_a_plain_record) {
  const std::string keys = kpl_field(1, "key");
  for (const std::uint64_t index : {std::uint64_t{1}, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
    EXPECT_TRUE(is_plain(kpl_aggregate(keys + kpl_record_field(index, std::nullopt, "x"))));
    EXPECT_TRUE(is_plain(kpl_aggregate(keys + kpl_record_field(0, index, "x"))));
  }
  EXPECT_TRUE(is_plain(kpl_aggregate(keys + kpl_record_field(0, 0, "x"))));
  EXPECT_TRUE(is_plain(kpl_aggregate(kpl_record_field(0, std::nullopt, "x"))));
}

TEST(kpl_aggregate, lengths_beyond_the_end_make_it_a_plain_record) {
  for (const std::uint64_t length :
       {std::uint64_t{4}, std::uint64_t{1} << 31, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    const std::string hostile = kpl_number(length) + "abc";
    for (const std::uint64_t id : {1, 2, 3, 9})
      EXPECT_TRUE(is_plain(kpl_aggregate(good_message() + kpl_number(id << 3 | 2) + hostile)));
    EXPECT_TRUE(
        is_plain(kpl_aggregate(good_message() + kpl_field(3, kpl_field(1, 0) + "\x1a" + hostile))));
  }
}

TEST(kpl_aggregate, numbers_without_an_end_and_wire_types_of_no_use_make_it_a_plain_record) {
  EXPECT_TRUE(is_plain(kpl_aggregate(good_message() + std::string(20, '\xff'))));
  EXPECT_TRUE(is_plain(kpl_aggregate(good_message() + std::string("\x00\x00", 2))));
  for (const unsigned type : {3u, 4u, 6u, 7u})
    EXPECT_TRUE(is_plain(kpl_aggregate(good_message() + kpl_number(9 << 3 | type) + "abc")));
  // An index of four bytes is none.
  EXPECT_TRUE(is_plain(kpl_aggregate(kpl_field(1, "key") +
                                     kpl_field(3, std::string("\x0d\0\0\0\0", 5) + "\x1a\x01x"))));
}

TEST(kpl_aggregate, without_a_record_or_what_a_record_needs_it_is_a_plain_record) {
  EXPECT_TRUE(is_plain(kpl_aggregate("")));
  EXPECT_TRUE(is_plain(kpl_aggregate(kpl_field(1, "key"))));
  EXPECT_TRUE(is_plain(kpl_aggregate(kpl_field(1, "key") + kpl_field(3, kpl_field(1, 0)))));
  EXPECT_TRUE(is_plain(kpl_aggregate(kpl_field(1, "key") + kpl_field(3, kpl_field(3, "x")))));
}

TEST(kpl_aggregate, whatever_a_message_holds_is_read_within_its_bytes) {
  std::mt19937_64 random(11);
  const std::string message = good_message();
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = message;
    for (std::uint64_t i = random() % 4 + 1; i > 0; --i)
      changed[random() % changed.size()] = static_cast<char>(random());
    const std::string data = kpl_aggregate(changed);
    const auto records = split_kpl_aggregate(kpl_bytes(data));
    if (!records) continue;
    for (const kpl_record& one : *records) {
      EXPECT_GE(one.key.data(), data.data());
      EXPECT_LE(one.key.data() + one.key.size(), data.data() + data.size());
      EXPECT_LE(one.data.size(), data.size());
    }
  }
}

}  // namespace
}  // namespace millrace
