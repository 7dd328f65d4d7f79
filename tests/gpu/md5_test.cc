// MD5 of partition keys: known digests, OpenSSL as the oracle, and nothing read that is not ours.
#include "gpu/md5.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu/md5_lanes.h"
#include "tests/base/random_bytes.h"

namespace millrace {
namespace {

std::string hex(uint128 value) {
  std::string text;
  for (int shift = 124; shift >= 0; shift -= 4) {
    text += "0123456789abcdef"[static_cast<unsigned>(value >> shift) & 15];
  }
  return text;
}

uint128 by_openssl(const std::byte* bytes, std::size_t count) {
  unsigned char digest[16];
  static const EVP_MD* const kind = EVP_md5();
  EXPECT_EQ(EVP_Digest(bytes, count, digest, nullptr, kind, nullptr), 1);
  uint128 value = 0;
  for (const unsigned char b : digest)
    value = value << 8 | b;
  return value;
}

/// Every test of the lanes runs at each level; one that this CPU lacks is skipped by name.
class md5_lanes_test : public testing::TestWithParam<simd_level> {
 protected:
  void SetUp() override {
    if (!has_simd(GetParam())) GTEST_SKIP() << "this CPU lacks " << to_string(GetParam());
  }

  /// Hashes all keys in one call and compares each with OpenSSL.
  void expect_right(const std::vector<md5_key>& keys) {
    const uint128 untouched = make_uint128(0x5555, 0xaaaa);
    std::vector<uint128> out(keys.size() + 1, untouched);
    md5_lanes(GetParam(), keys, out.data());
    for (const md5_key& key : keys) {
      ASSERT_EQ(hex(out[key.slot]), hex(by_openssl(key.bytes, key.count)))
          << "key " << key.slot << " of " << keys.size() << ", " << key.count << " bytes";
    }
    EXPECT_EQ(out.back(), untouched);
  }
};

INSTANTIATE_TEST_SUITE_P(levels, md5_lanes_test,
                         testing::Values(simd_level::scalar, simd_level::avx2, simd_level::avx512),
                         [](const auto& one) { return std::string(to_string(one.param)); });

const std::pair<std::string_view, std::string_view> known[] = {
    {"", "d41d8cd98f00b204e9800998ecf8427e"},
    {"a", "0cc175b9c0f1b6a831c399e269772661"},
    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
     "d174ab98d277d9f5a5611c2c9f419d9f"},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
     "57edf4a22be3c955ac49da2e2107b67a"}};

TEST(md5, gives_the_digests_of_rfc_1321) {
  for (const auto& [text, digest] : known) {
    EXPECT_EQ(hex(md5(reinterpret_cast<const std::byte*>(text.data()),
                      static_cast<std::uint32_t>(text.size()))),
              digest);
  }
}

TEST(md5, agrees_with_openssl_on_every_length) {
  const auto bytes = random_bytes(1100, 1);
  for (std::uint32_t count = 0; count <= 1024; ++count) {
    const std::byte* const from = bytes.data() + count % 13;
    ASSERT_EQ(hex(md5(from, count)), hex(by_openssl(from, count))) << count << " bytes";
  }
}

TEST_P(md5_lanes_test, gives_the_digests_of_rfc_1321) {
  std::vector<md5_key> keys;
  for (const auto& [text, digest] : known) {
    keys.push_back({reinterpret_cast<const std::byte*>(text.data()),
                    static_cast<std::uint32_t>(text.size()),
                    static_cast<std::uint32_t>(keys.size())});
  }
  std::vector<uint128> out(keys.size());
  md5_lanes(GetParam(), keys, out.data());
  for (std::size_t i = 0; i < keys.size(); ++i)
    EXPECT_EQ(hex(out[i]), known[i].second);
}

TEST_P(md5_lanes_test, hashes_every_length_when_all_keys_are_equally_long) {
  const auto bytes = random_bytes(4096, 2);
  for (std::uint32_t count = 0; count <= 300; ++count) {
    std::vector<md5_key> keys;
    for (std::uint32_t slot = 0; slot < 49; ++slot) {
      keys.push_back({bytes.data() + slot * 61, count, slot});
    }
    expect_right(keys);
  }
}

TEST_P(md5_lanes_test, hashes_mixed_lengths_in_any_order_and_number) {
  const auto bytes = random_bytes(8192, 3);
  std::mt19937 random(4);
  for (const std::uint32_t number :
       {0u,  1u,  7u,  8u,  9u,   16u,  17u,  23u,  24u,  25u,  31u,  32u,
        33u, 47u, 48u, 49u, 255u, 256u, 257u, 767u, 768u, 769u, 3000u}) {
    for (const std::uint32_t longest : {8u, 32u, 33u, 55u, 56u, 64u, 119u, 120u, 1024u}) {
      std::vector<md5_key> keys(number);
      for (std::uint32_t i = 0; i < number; ++i) {
        keys[i] = {bytes.data() + random() % 4096,
                   static_cast<std::uint32_t>(random() % (longest + 1)), number - 1 - i};
      }
      expect_right(keys);
    }
  }
}

TEST_P(md5_lanes_test, hashes_one_long_key_among_short_ones) {
  const auto bytes = random_bytes(4096, 5);
  for (std::uint32_t at = 0; at < 60; ++at) {
    std::vector<md5_key> keys;
    for (std::uint32_t slot = 0; slot < 60; ++slot) {
      keys.push_back({bytes.data() + slot, slot == at ? 1024u : 1 + slot % 32, slot});
    }
    expect_right(keys);
  }
}

// A record may end where the mapped memory ends, and its key may be at its very end.
TEST_P(md5_lanes_test, reads_nothing_past_the_padding_of_a_record) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const mapped =
      mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  std::byte* const end = static_cast<std::byte*>(mapped) + 2 * page;
  ASSERT_EQ(mprotect(end, page, PROT_NONE), 0);
  const auto bytes = random_bytes(2 * page, 6);
  std::memcpy(mapped, bytes.data(), bytes.size());
  for (std::uint32_t count = 1; count <= 1024; ++count) {
    const std::vector<md5_key> keys = {{end - align_up(count, 8), count, 0}};
    expect_right(keys);
  }
  std::vector<md5_key> all;
  for (std::uint32_t count = 1; count <= 300; ++count) {
    all.push_back({end - align_up(count, 8), count, count - 1});
  }
  expect_right(all);
  munmap(mapped, 3 * page);
}

class simd_choice : public testing::Test {
 protected:
  void SetUp() override {
    const char* const variable = std::getenv("MILLRACE_SIMD");
    was_set_ = variable != nullptr;
    if (was_set_) before_ = variable;
  }
  void TearDown() override {
    was_set_ ? setenv("MILLRACE_SIMD", before_.c_str(), 1) : unsetenv("MILLRACE_SIMD");
  }
  bool was_set_ = false;
  std::string before_;
};

TEST_F(simd_choice, takes_the_best_level_unless_one_is_forced) {
  unsetenv("MILLRACE_SIMD");
  const auto best = choose_simd();
  ASSERT_TRUE(best.ok());
  for (const simd_level level : {simd_level::scalar, simd_level::avx2, simd_level::avx512}) {
    setenv("MILLRACE_SIMD", std::string(to_string(level)).c_str(), 1);
    const auto forced = choose_simd();
    if (has_simd(level)) {
      ASSERT_TRUE(forced.ok());
      EXPECT_EQ(*forced, level);
      EXPECT_GE(*best, level);
    } else {
      ASSERT_FALSE(forced.ok());
      EXPECT_EQ(forced.failure().code(), error_code::unsupported);
    }
  }
}

TEST_F(simd_choice, refuses_a_level_that_does_not_exist) {
  setenv("MILLRACE_SIMD", "avx1024", 1);
  const auto forced = choose_simd();
  ASSERT_FALSE(forced.ok());
  EXPECT_EQ(forced.failure().code(), error_code::invalid_argument);
  EXPECT_EQ(forced.failure().message(), "MILLRACE_SIMD=avx1024: not one of scalar, avx2, avx512");
}

}  // namespace
}  // namespace millrace
