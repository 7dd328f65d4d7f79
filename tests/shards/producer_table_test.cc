#include "shards/producer_table.h"

#include <vector>

#include <gtest/gtest.h>

namespace millrace {
namespace {

producer_id id(std::uint64_t n) {
  return producer_id(n);
}
constexpr std::uint64_t day_us = 24ull * 3600 * 1'000'000;

TEST(producer_table, each_open_gives_the_next_epoch_and_keeps_the_record_number) {
  producer_table table;
  EXPECT_EQ(table.grant_epoch(id(1), 10)->epoch.value, 1u);
  table.advance(id(1), epoch_number(1), record_number(42), 11);
  const auto again = table.grant_epoch(id(1), 12);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->epoch.value, 2u);
  EXPECT_EQ(again->next.value, 42u);
  EXPECT_EQ(table.find(id(1))->active_us, 12u);
  EXPECT_FALSE(table.find(id(2)).has_value());
}

TEST(producer_table, a_full_table_refuses_newcomers_until_someone_is_silent_for_the_period) {
  producer_table table(3);
  for (std::uint64_t n = 1; n <= 3; ++n)
    ASSERT_TRUE(table.grant_epoch(id(n), n).ok());
  const auto refused = table.grant_epoch(id(4), day_us);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.failure().code(), error_code::exhausted);
  EXPECT_TRUE(table.grant_epoch(id(2), day_us).ok()) << "a known producer always gets in";

  ASSERT_TRUE(table.grant_epoch(id(4), 8 * day_us).ok());
  EXPECT_FALSE(table.find(id(1)).has_value()) << "the longest-silent one went";
  EXPECT_TRUE(table.find(id(2)).has_value());
  EXPECT_TRUE(table.find(id(3)).has_value());
}

TEST(producer_table, being_active_saves_a_producer_from_being_forgotten) {
  producer_table table(2);
  ASSERT_TRUE(table.grant_epoch(id(1), 1).ok());
  ASSERT_TRUE(table.grant_epoch(id(2), 2).ok());
  table.advance(id(1), epoch_number(1), record_number(5), 8 * day_us);
  ASSERT_TRUE(table.grant_epoch(id(3), 8 * day_us).ok());
  EXPECT_TRUE(table.find(id(1)).has_value());
  EXPECT_FALSE(table.find(id(2)).has_value());
}

TEST(producer_table, what_one_table_tells_another_restores_in_the_same_order) {
  producer_table table;
  for (std::uint64_t n = 1; n <= 5; ++n) {
    table.restore(id(n), {epoch_number(static_cast<std::uint32_t>(n)), record_number(n * 10), n});
  }
  table.advance(id(2), epoch_number(2), record_number(21), 6);
  std::vector<std::uint64_t> order;
  producer_table copy;
  table.for_each([&](producer_id producer, const producer_state& state) {
    order.push_back(low_bits(producer.value));
    copy.restore(producer, state);
  });
  EXPECT_EQ(order, (std::vector<std::uint64_t>{1, 3, 4, 5, 2}));
  EXPECT_EQ(copy.size(), 5u);
  EXPECT_EQ(copy.find(id(2)), table.find(id(2)));
}

}  // namespace
}  // namespace millrace
