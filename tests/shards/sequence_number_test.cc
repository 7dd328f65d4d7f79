#include "shards/sequence_number.h"

#include <random>

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(sequence_number, the_example_of_the_aws_documentation_is_read_and_written_exactly) {
  const std::string text = "49543463076548007577105092703039560359975228518395019266";
  const auto parsed = sequence_number::parse(text);
  ASSERT_TRUE(parsed.ok()) << parsed.failure().message();
  EXPECT_EQ(parsed->shard_created_s, 1411403981u);
  EXPECT_EQ(parsed->index.value, 5501u);
  EXPECT_EQ(parsed->arrival_s, 1411431220u);
  EXPECT_EQ(parsed->shard.value, 0u);
  EXPECT_EQ(parsed->to_string(), text);
}

TEST(sequence_number, a_closed_shard_ends_with_the_index_of_kinesis) {
  const sequence_number end{1411403981, closed_shard_index, 1411431220, shard_index(3)};
  const auto parsed = sequence_number::parse(end.to_string());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->index.value, 0x7fff'ffff'ffff'ffffu);
  EXPECT_EQ(*parsed, end);
}

TEST(sequence_number, every_number_survives_a_round_trip) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const sequence_number one{static_cast<std::uint32_t>(random()),
                              record_index(random() >> (random() % 64)),
                              static_cast<std::uint32_t>(random()),
                              shard_index(static_cast<std::uint32_t>(random() >> (random() % 64)))};
    const auto parsed = sequence_number::parse(one.to_string());
    ASSERT_TRUE(parsed.ok()) << one.to_string();
    ASSERT_EQ(*parsed, one);
  }
}

/// Doubles and adds digit by digit, from the layout of the header: no division at all.
std::string by_doubling(const sequence_number& one) {
  std::string bits = "10";
  const auto add = [&](std::uint64_t value, int width) {
    for (int bit = width - 1; bit >= 0; --bit)
      bits += bit < 64 && (value >> bit & 1) != 0 ? '1' : '0';
  };
  add(one.shard_created_s, 36);
  add(one.shard.value & 15, 4);
  add(one.index.value, 64);
  add(0, 8);
  add(one.arrival_s, 36);
  add(one.shard.value, 32);
  add(2, 4);
  std::string digits;  // least significant first
  for (const char bit : bits) {
    int carry = bit - '0';
    for (char& digit : digits) {
      const int value = 2 * (digit - '0') + carry;
      digit = static_cast<char>('0' + value % 10);
      carry = value / 10;
    }
    if (carry != 0) digits += static_cast<char>('0' + carry);
  }
  return {digits.rbegin(), digits.rend()};
}

TEST(sequence_number, the_digits_are_those_of_the_number) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20'000; ++i) {
    const auto any = [&] { return random() >> (random() % 64); };
    const auto edge = [&](std::uint64_t value) { return i % 3 == 0 ? ~value : value; };
    const sequence_number one{static_cast<std::uint32_t>(edge(any())), record_index(edge(any())),
                              static_cast<std::uint32_t>(edge(any())),
                              shard_index(static_cast<std::uint32_t>(edge(any())))};
    ASSERT_EQ(one.to_string(), by_doubling(one));
  }
}

TEST(sequence_number, a_writer_of_many_writes_each_as_it_is) {
  std::mt19937_64 random(3);
  sequence_writer writer;
  for (int i = 0; i < 2'000; ++i) {
    const auto any = [&] { return random() >> (random() % 64); };
    sequence_number one{static_cast<std::uint32_t>(any()), record_index(any()),
                        static_cast<std::uint32_t>(any()),
                        shard_index(static_cast<std::uint32_t>(any()))};
    // Near what makes the lower parts, or the index itself, run over.
    if (i % 5 == 0) one.index = record_index(~std::uint64_t{0} - random() % 8);
    for (int step = 0; step < 12; ++step) {
      ASSERT_EQ(writer.write(one), one.to_string()) << step;
      one.index = one.index.next(step % 7 == 6 ? 2 : 1);
      if (step == 9) ++one.arrival_s;
    }
  }
}

TEST(sequence_number, a_writer_carries_into_the_upper_digits) {
  sequence_number one{1411403981, record_index(0), 1411431220, shard_index(2)};
  const auto upper = [&](std::uint64_t index) {
    one.index = record_index(index);
    const std::string text = one.to_string();
    return text.substr(0, text.size() - 36);
  };
  // Where they change for the first time: that is once in 10^36 / 2^80 numbers.
  std::uint64_t before = 0;
  std::uint64_t after = 1'000'000'000'000;
  ASSERT_NE(upper(before), upper(after));
  while (after - before > 1) {
    const std::uint64_t middle = (before + after) / 2;
    (upper(middle) == upper(0) ? before : after) = middle;
  }
  sequence_writer writer;
  for (std::uint64_t index = before - 5; index < after + 5; ++index) {
    one.index = record_index(index);
    ASSERT_EQ(writer.write(one), one.to_string()) << index - before;
  }
}

TEST(sequence_number, a_later_record_has_the_greater_number) {
  const sequence_number early{1411403981, record_index(7), 1411431220, shard_index(2)};
  sequence_number late = early;
  late.index = record_index(8);
  late.arrival_s = early.arrival_s;
  ASSERT_EQ(early.to_string().size(), late.to_string().size());
  EXPECT_LT(early.to_string(), late.to_string());
}

TEST(sequence_number, anything_else_is_refused_with_a_reason) {
  const std::string good = "49543463076548007577105092703039560359975228518395019266";
  for (const std::string& text :
       {std::string(), std::string("0"), std::string("12x4"), std::string("-1"),
        good.substr(0, 55) + "7",  // another version
        std::string("59543463076548007577105092703039560359975228518395019266"),
        std::string(58, '9'), std::string(200, '1'), good + " "}) {
    const auto parsed = sequence_number::parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.failure().code(), error_code::invalid_argument);
  }
}

}  // namespace
}  // namespace millrace
