/// AWS' quotas, with the time as an argument.
#include "api/quota_book.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

constexpr stream_id orders{1};
constexpr shard_index first{0};
constexpr std::uint64_t second_us = 1'000'000;
constexpr std::uint64_t start_us = 77 * second_us;

int writes(quota_book& book, int tries, std::uint64_t bytes, std::uint64_t now_us) {
  int taken = 0;
  for (int i = 0; i < tries; ++i)
    taken += book.take_write(orders, first, bytes, now_us) ? 1 : 0;
  return taken;
}

TEST(quota_book, a_shard_takes_a_thousand_records_a_second) {
  quota_book book;
  EXPECT_EQ(writes(book, 1500, 10, start_us), 1000);
  EXPECT_EQ(writes(book, 1500, 10, start_us + second_us / 2), 500);
  EXPECT_EQ(writes(book, 1500, 10, start_us + 10 * second_us), 1000) << "no more than a second's";
  EXPECT_TRUE(book.take_write(orders, shard_index{1}, 10, start_us)) << "each shard has its own";
}

TEST(quota_book, a_shard_takes_a_mebibyte_a_second) {
  quota_book book;
  EXPECT_EQ(writes(book, 100, 64 * limits::kib, start_us), 16);
  EXPECT_EQ(writes(book, 100, 64 * limits::kib, start_us + second_us / 4), 4);
}

TEST(quota_book, a_large_record_is_taken_by_a_rested_shard_and_paid_for_afterwards) {
  quota_book book;
  EXPECT_TRUE(book.take_write(orders, first, 5 * limits::mib, start_us));
  EXPECT_FALSE(book.take_write(orders, first, 1, start_us + 3 * second_us));
  EXPECT_TRUE(book.take_write(orders, first, 1, start_us + 5 * second_us));
}

TEST(quota_book, an_on_demand_stream_has_one_rate_for_all_its_shards) {
  quota_book book;
  int taken = 0;
  for (int i = 0; i < 10'000; ++i)
    taken += book.take_write(orders, std::uint32_t{0}, 10, start_us) ? 1 : 0;
  EXPECT_EQ(taken, 4000);
  for (int i = 0; i < 10'000; ++i)
    taken += book.take_write(stream_id{2}, std::uint32_t{8}, 10, start_us) ? 1 : 0;
  EXPECT_EQ(taken, 4000 + 8000) << "with warm throughput of 8 MiB/s";
}

TEST(quota_book, a_shard_is_read_five_times_a_second_and_at_two_mebibytes) {
  quota_book book;
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(book.take_read(orders, first, start_us));
  EXPECT_FALSE(book.take_read(orders, first, start_us));
  EXPECT_TRUE(book.take_read(orders, first, start_us + second_us));
  book.charge_read(orders, first, 10 * limits::mib);
  EXPECT_FALSE(book.take_read(orders, first, start_us + 2 * second_us));
  EXPECT_FALSE(book.take_read(orders, first, start_us + 4 * second_us));
  EXPECT_TRUE(book.take_read(orders, first, start_us + 6 * second_us));
}

TEST(quota_book, calls_have_the_rate_of_their_action) {
  quota_book book;
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(book.take_call("CreateStream", start_us));
  EXPECT_FALSE(book.take_call("CreateStream", start_us));
  EXPECT_TRUE(book.take_call("DeleteStream", start_us));
  EXPECT_TRUE(book.take_call("CreateStream", start_us + second_us / 5));
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(book.take_call("PutResourcePolicy", start_us)) << "it has none";
}

TEST(quota_book, a_stream_is_resharded_ten_times_a_day) {
  quota_book book;
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(book.take_reshard(orders, start_us));
  EXPECT_FALSE(book.take_reshard(orders, start_us + 3600 * second_us));
  EXPECT_TRUE(book.take_reshard(orders, start_us + 3 * 3600 * second_us));
}

TEST(quota_book, the_mode_of_a_stream_is_changed_twice_a_day) {
  quota_book book;
  EXPECT_TRUE(book.take_mode_change(orders, start_us));
  EXPECT_TRUE(book.take_mode_change(orders, start_us));
  EXPECT_FALSE(book.take_mode_change(orders, start_us + 11 * 3600 * second_us));
  EXPECT_TRUE(book.take_mode_change(stream_id{2}, start_us + 11 * 3600 * second_us));
  EXPECT_TRUE(book.take_mode_change(orders, start_us + 13 * 3600 * second_us));
  EXPECT_TRUE(book.take_reshard(orders, start_us)) << "that is another quota";
}

}  // namespace
}  // namespace millrace
