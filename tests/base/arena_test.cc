#include "base/arena.h"

#include <cstring>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "base/limits.h"

namespace millrace {
namespace {

arena make_arena(std::uint64_t bytes) {
  auto made = arena::create({.bytes = bytes, .try_hugetlb = false});
  EXPECT_TRUE(made.ok());
  return std::move(*made);
}

TEST(arena, pieces_are_aligned_and_do_not_overlap) {
  arena region = make_arena(4 * limits::mib);
  auto first = region.carve(1000, 64, "a");
  auto second = region.carve(5000, 4096, "b");
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second->data()) % 4096, 0u);
  EXPECT_GE(second->data(), first->data() + first->size());
  std::memset(first->data(), 1, first->size());
  std::memset(second->data(), 2, second->size());
  EXPECT_EQ((*first)[999], std::byte{1});
}

TEST(arena, says_what_does_not_fit) {
  arena region = make_arena(2 * limits::mib);
  const auto piece = region.carve(3 * limits::mib, 4096, "block buffers");
  ASSERT_FALSE(piece.ok());
  EXPECT_EQ(piece.failure().code(), error_code::exhausted);
  EXPECT_NE(piece.failure().message().find("block buffers"), std::string::npos);
  EXPECT_NE(piece.failure().message().find("3145728"), std::string::npos);
}

TEST(arena, moves_its_region_and_leaves_nothing_behind) {
  arena region = make_arena(2 * limits::mib);
  std::byte* base = region.base();
  arena other = std::move(region);
  EXPECT_EQ(other.base(), base);
  EXPECT_EQ(other.bytes(), 2 * limits::mib);
}

TEST(slab_pool, hands_out_each_slab_once_and_then_none) {
  arena region = make_arena(2 * limits::mib);
  auto pool = slab_pool::create(region, 2000, 10, "slabs");
  ASSERT_TRUE(pool.ok());
  std::set<std::byte*> seen;
  for (int i = 0; i < 10; ++i) {
    slab* one = pool->acquire();
    ASSERT_NE(one, nullptr);
    std::memset(one->data, i, pool->slab_bytes());
    EXPECT_TRUE(seen.insert(one->data).second);
  }
  EXPECT_EQ(pool->acquire(), nullptr);
  EXPECT_EQ(pool->free_count(), 0u);
}

TEST(slab_pool, a_slab_is_free_only_after_its_last_reference) {
  arena region = make_arena(2 * limits::mib);
  auto pool = slab_pool::create(region, 2048, 1, "slabs");
  ASSERT_TRUE(pool.ok());
  slab* one = pool->acquire();
  one->references = 3;
  pool->release(one);
  pool->release(one);
  EXPECT_EQ(pool->acquire(), nullptr);
  pool->release(one);
  EXPECT_EQ(pool->acquire(), one);
}

TEST(slab_pool, the_last_slab_given_back_is_handed_out_next) {
  arena region = make_arena(2 * limits::mib);
  auto pool = slab_pool::create(region, 2048, 8, "slabs");
  ASSERT_TRUE(pool.ok());
  slab* a = pool->acquire();
  slab* b = pool->acquire();
  pool->release(a);
  pool->release(b);
  EXPECT_EQ(pool->acquire(), b);
  EXPECT_EQ(pool->acquire(), a);
}

TEST(slab_pool_death, releasing_twice_is_a_bug) {
  arena region = make_arena(2 * limits::mib);
  auto pool = slab_pool::create(region, 2048, 1, "slabs");
  ASSERT_TRUE(pool.ok());
  slab* one = pool->acquire();
  pool->release(one);
  EXPECT_DEATH(pool->release(one), "released more often");
}

}  // namespace
}  // namespace millrace
