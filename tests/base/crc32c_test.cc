// CRC32C: known values, and every implementation against a bit-by-bit oracle.
#include "base/crc32c.h"

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/base/random_bytes.h"

namespace millrace {
namespace {

std::uint32_t bit_by_bit(const std::byte* bytes, std::size_t count, std::uint32_t seed) {
  std::uint32_t state = ~seed;
  for (std::size_t i = 0; i < count; ++i) {
    state ^= static_cast<std::uint32_t>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit)
      state = (state >> 1) ^ ((state & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~state;
}

byte_view view(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(crc32c, known_values_hold) {
  EXPECT_EQ(crc32c(view("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0})), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0xff})), 0x62a8ab43u);
}

TEST(crc32c, the_table_is_always_there_and_the_fastest_is_in_use) {
  ASSERT_FALSE(crc32c_versions().empty());
  EXPECT_STREQ(crc32c_versions().back().name, "table");
  if (std::getenv("MILLRACE_CRC32C") == nullptr) {
    EXPECT_STREQ(crc32c_versions().front().name, crc32c_implementation());
  }
}

TEST(crc32c, all_versions_agree_on_every_small_size_and_alignment) {
  const auto bytes = random_bytes(1100, 1);
  for (std::size_t size = 0; size <= 1024; ++size) {
    const std::size_t from = size % 17;
    const std::uint32_t seed = static_cast<std::uint32_t>(size) * 0x9e3779b9u;
    const std::uint32_t expected = bit_by_bit(bytes.data() + from, size, seed);
    for (const crc32c_version& one : crc32c_versions()) {
      ASSERT_EQ(~one.update(~seed, bytes.data() + from, size), expected)
          << one.name << ", " << size << " bytes from " << from;
    }
  }
}

TEST(crc32c, all_versions_agree_on_large_sizes) {
  const auto bytes = random_bytes(300'000, 2);
  std::mt19937 random(3);
  for (int i = 0; i < 60; ++i) {
    const std::size_t from = random() % 64;
    const std::size_t size = i == 0 ? 6144 : i == 1 ? 6144 + 192 : random() % (bytes.size() - 64);
    const std::uint32_t seed = random();
    const std::uint32_t expected = ~crc32c_versions().back().update(~seed, &bytes[from], size);
    if (i < 4) {
      ASSERT_EQ(expected, bit_by_bit(&bytes[from], size, seed));
    }
    for (const crc32c_version& one : crc32c_versions()) {
      ASSERT_EQ(~one.update(~seed, &bytes[from], size), expected)
          << one.name << ", " << size << " bytes from " << from;
    }
  }
}

TEST(crc32c, a_seed_continues_what_came_before) {
  const auto bytes = random_bytes(5000, 4);
  const std::uint32_t whole = crc32c(bytes);
  for (const std::size_t cut : {0u, 1u, 7u, 8u, 255u, 256u, 2500u, 4999u, 5000u}) {
    const byte_view all(bytes);
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), whole) << "cut at " << cut;
  }
}

TEST(crc32c, nothing_is_read_past_the_end) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const mapped =
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* const first = static_cast<std::byte*>(mapped);
  ASSERT_EQ(mprotect(first + page, page, PROT_NONE), 0);
  const auto bytes = random_bytes(page, 5);
  std::memcpy(first, bytes.data(), page);
  for (std::size_t size = 0; size <= 700; ++size) {
    const std::byte* const from = first + page - size;
    const std::uint32_t expected = bit_by_bit(from, size, 0);
    for (const crc32c_version& one : crc32c_versions()) {
      ASSERT_EQ(~one.update(~0u, from, size), expected) << one.name << ", " << size << " bytes";
    }
  }
  munmap(mapped, 2 * page);
}

}  // namespace
}  // namespace millrace
