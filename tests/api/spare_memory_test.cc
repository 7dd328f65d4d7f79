// Memory of large answers that is kept for the next ones.
#include "api/spare_memory.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

constexpr std::size_t large = 4 * limits::mib;

TEST(spare_memory, what_was_given_is_taken_again) {
  spare_memory spare;
  std::string text = spare.take(large);
  EXPECT_GE(text.capacity(), large);
  text.assign(1000, 'x');
  const char* const at = text.data();
  spare.give(std::move(text));
  EXPECT_GE(spare.bytes(), large);
  const std::string again = spare.take(large);
  EXPECT_EQ(again.data(), at);
  EXPECT_TRUE(again.empty());
  EXPECT_EQ(spare.bytes(), 0u);
}

TEST(spare_memory, an_answer_gets_neither_too_little_nor_many_times_what_it_needs) {
  spare_memory spare;
  spare.give(spare.take(large));
  EXPECT_LT(spare.take(spare_memory::bytes_min).capacity(), large);
  EXPECT_GE(spare.take(2 * large).capacity(), 2 * large);
  EXPECT_GE(spare.bytes(), large) << "nobody got it";
}

TEST(spare_memory, it_is_bounded_and_keeps_nothing_small) {
  spare_memory spare;
  spare.give(std::string(1000, 'x'));
  EXPECT_EQ(spare.bytes(), 0u);
  for (int i = 0; i < 40; ++i) {
    std::string text;
    text.reserve(large);
    spare.give(std::move(text));
  }
  EXPECT_GE(spare.bytes(), spare_memory::bytes_max - 2 * large);
  EXPECT_LE(spare.bytes(), spare_memory::bytes_max);
}

TEST(spare_memory, it_goes_when_nobody_wants_it) {
  spare_memory spare;
  spare.give(spare.take(large));
  spare.tick(1'000'000);
  spare.tick(1'000'000 + spare_memory::idle_us - 1);
  EXPECT_GT(spare.bytes(), 0u);
  spare.give(spare.take(large));
  spare.tick(1'000'000 + spare_memory::idle_us);
  EXPECT_GT(spare.bytes(), 0u) << "it was used just now";
  spare.tick(1'000'000 + 2 * spare_memory::idle_us);
  EXPECT_EQ(spare.bytes(), 0u);
}

}  // namespace
}  // namespace millrace
