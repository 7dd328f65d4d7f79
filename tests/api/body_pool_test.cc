#include "api/body_pool.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

constexpr std::uint64_t page = body_pool::page_bytes;

TEST(body_pool, runs_are_disjoint_and_come_back_as_one) {
  auto memory = arena::create({.bytes = 64 * page, .try_hugetlb = false});
  ASSERT_TRUE(memory.ok());
  auto made = body_pool::create(*memory, 16 * page);
  ASSERT_TRUE(made.ok());
  body_pool& pool = **made;
  const auto one = pool.reserve(page + 1);
  const auto two = pool.reserve(1);
  const auto three = pool.reserve(13 * page);
  EXPECT_EQ(one.size(), 2 * page);
  EXPECT_EQ(two.data(), one.data() + one.size());
  EXPECT_EQ(three.size(), 13 * page);
  EXPECT_EQ(pool.free_bytes(), 0u);
  EXPECT_TRUE(pool.reserve(1).empty());
  pool.release(two);
  EXPECT_TRUE(pool.reserve(page + 1).empty());
  pool.release(one);
  const auto again = pool.reserve(3 * page);
  EXPECT_EQ(again.data(), one.data());
  EXPECT_TRUE(pool.reserve(17 * page).empty());
}

TEST(body_pool, room_gives_itself_back_once) {
  auto memory = arena::create({.bytes = 64 * page, .try_hugetlb = false});
  auto pool = *body_pool::create(*memory, 4 * page);
  {
    body_room room(*pool, pool->reserve(2 * page));
    body_room other = std::move(room);
    EXPECT_TRUE(room.empty());
    other.reset();
    EXPECT_EQ(pool->free_bytes(), 4 * page);
    body_room last(*pool, pool->reserve(page));
    EXPECT_EQ(pool->free_bytes(), 3 * page);
  }
  EXPECT_EQ(pool->free_bytes(), 4 * page);
}

}  // namespace
}  // namespace millrace
