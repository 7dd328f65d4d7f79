#include "base/record_format.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"

namespace millrace {
namespace {

std::vector<std::byte> record_of(std::string_view key, std::string_view data,
                                 const uint128* hash_key = nullptr) {
  std::vector<std::byte> bytes(record_stride(key.size(), data.size(), hash_key != nullptr));
  write_record(bytes.data(), key, std::as_bytes(std::span(data)), hash_key);
  return bytes;
}

TEST(record_format, a_written_record_reads_back_the_same) {
  const uint128 hash_key = make_uint128(0x0123456789abcdef, 0xfedcba9876543210);
  for (const bool explicit_key : {false, true}) {
    const auto bytes = record_of("user-17", "hello", explicit_key ? &hash_key : nullptr);
    ASSERT_EQ(check_record(bytes), record_fault::none);
    const record_view view(bytes.data());
    EXPECT_EQ(view.key(), "user-17");
    EXPECT_EQ(view.data().size(), 5u);
    EXPECT_EQ(std::memcmp(view.data().data(), "hello", 5), 0);
    EXPECT_EQ(view.has_hash_key(), explicit_key);
    if (explicit_key) {
      EXPECT_TRUE(view.hash_key() == hash_key);
    }
    EXPECT_EQ(view.stride(), bytes.size());
    EXPECT_EQ(view.stride() % record_alignment, 0u);
  }
}

TEST(record_format, an_explicit_hash_key_is_stored_big_endian) {
  const uint128 hash_key = 0x0102;
  const auto bytes = record_of("k", "", &hash_key);
  EXPECT_EQ(bytes[8 + 15], std::byte{2});
  EXPECT_EQ(bytes[8 + 14], std::byte{1});
  EXPECT_EQ(bytes[8], std::byte{0});
}

TEST(record_format, every_truncation_is_noticed) {
  const auto bytes = record_of("key", "some data that is longer");
  for (std::size_t n = 0; n < record_view(bytes.data()).record_bytes(); ++n) {
    EXPECT_EQ(check_record(byte_view(bytes).first(n)), record_fault::truncated) << n;
  }
}

TEST(record_format, keys_are_1_to_256_characters_of_utf8) {
  EXPECT_EQ(check_partition_key(""), record_fault::empty_key);
  EXPECT_EQ(check_partition_key(std::string(256, 'a')), record_fault::none);
  EXPECT_EQ(check_partition_key(std::string(257, 'a')), record_fault::key_too_long);
  std::string smileys;
  for (int i = 0; i < 256; ++i)
    smileys += "\xf0\x9f\x98\x80";
  EXPECT_EQ(check_partition_key(smileys), record_fault::none);
  EXPECT_EQ(check_partition_key(smileys + "a"), record_fault::key_too_long);
  EXPECT_EQ(check_partition_key("\xc0\x80"), record_fault::key_not_utf8);          // overlong
  EXPECT_EQ(check_partition_key("\xed\xa0\x80"), record_fault::key_not_utf8);      // surrogate
  EXPECT_EQ(check_partition_key("\xf4\x90\x80\x80"), record_fault::key_not_utf8);  // > U+10FFFF
  EXPECT_EQ(check_partition_key("ab\xe2\x82"), record_fault::key_not_utf8);        // cut off
}

TEST(record_format, hostile_headers_are_refused) {
  auto bytes = record_of("key", "data");
  auto header = load<record_header>(bytes.data());
  header.flags = 0x80;
  store(bytes.data(), header);
  EXPECT_EQ(check_record(bytes), record_fault::bad_flags);
  header.flags = 0;
  header.reserved = 1;
  store(bytes.data(), header);
  EXPECT_EQ(check_record(bytes), record_fault::bad_flags);
  header.reserved = 0;
  header.key_bytes = 0xffff;
  store(bytes.data(), header);
  EXPECT_EQ(check_record(bytes), record_fault::truncated);
  header.key_bytes = 0;
  store(bytes.data(), header);
  EXPECT_EQ(check_record(bytes), record_fault::empty_key);
}

TEST(record_format, a_payload_over_10_mib_is_refused) {
  const std::string data(limits::record_payload_bytes_max, 'x');
  EXPECT_EQ(check_record(record_of("k", data.substr(1))), record_fault::none);
  EXPECT_EQ(check_record(record_of("k", data)), record_fault::too_large);
}

}  // namespace
}  // namespace millrace
