#include "ingest/aead.h"

#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace millrace {
namespace {

// A comparison that stops at the first difference tells by its time how far a guess was right. Here
// the first byte differs and the last ones cannot be read: only who stops early lives.
TEST(same_bytes, two_secrets_are_compared_to_their_last_byte_wherever_they_differ) {
  const auto page = static_cast<std::size_t>(getpagesize());
  void* const pages =
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  const byte_view secret(static_cast<const std::byte*>(pages), 2 * page);
  std::vector<std::byte> guess(2 * page);
  EXPECT_TRUE(same_bytes(secret, guess));
  guess[2 * page - 1] = std::byte{1};
  EXPECT_FALSE(same_bytes(secret, guess));
  guess[0] = std::byte{1};
  EXPECT_FALSE(same_bytes(secret, guess));
  ASSERT_EQ(mprotect(static_cast<std::byte*>(pages) + page, page, PROT_NONE), 0);
  EXPECT_DEATH(static_cast<void>(same_bytes(secret, guess)), "");
  munmap(pages, 2 * page);
}

TEST(same_bytes, texts_of_different_lengths_are_not_the_same) {
  const std::vector<std::byte> longer(33);
  EXPECT_FALSE(same_bytes(longer, byte_view(longer).first(32)));
  EXPECT_FALSE(same_bytes({}, longer));
  EXPECT_TRUE(same_bytes({}, {}));
}

}  // namespace
}  // namespace millrace
