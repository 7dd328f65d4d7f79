// The hash of group keys: no keys collide whatever the secret, and no result depends on it.
#include "gpu/group_hash.h"

#include <set>

#include "gpu/fold_program.h"
#include "gpu/group_table.h"
#include "gpu/value_hash.h"
#include "tests/gpu/fold_stream.h"

namespace millrace::testing {
namespace {

/// Keys of `pairs` times two words that all have one value_hash.h hash, whatever that starts from:
/// the top bit of a word passes its multiplication and is undone in the next word.
std::vector<std::vector<std::uint64_t>> keys_that_collide_without_secret(int pairs) {
  std::vector<std::vector<std::uint64_t>> keys;
  for (std::uint64_t bits = 0; bits < (1ull << pairs); ++bits) {
    std::vector<std::uint64_t>& key = keys.emplace_back();
    for (int pair = 0; pair < pairs; ++pair) {
      const bool is_set = (bits >> pair & 1) != 0;
      key.push_back(is_set ? 1ull << 63 : 0);
      key.push_back(is_set ? 1ull << 63 | 1ull << 31 : 0);
    }
  }
  return keys;
}

TEST(GroupHash, keys_made_to_collide_do_so_only_in_the_hash_that_has_no_secret) {
  const auto keys = keys_that_collide_without_secret(10);
  std::set<std::uint64_t> plain;
  for (const auto& key : keys)
    plain.insert(hash_words(key.data(), static_cast<std::uint32_t>(key.size())));
  EXPECT_EQ(plain.size(), 1u) << "what the test is about";
  seed_hash_secrets(1);
  for (int turn = 0; turn < 20; ++turn) {
    const hash_secret secret = draw_hash_secret();
    std::set<std::uint64_t> keyed;
    std::set<std::uint64_t> upper;
    std::set<std::uint64_t> lower;
    for (const auto& key : keys) {
      const std::uint64_t hash =
          hash_group_key(key.data(), static_cast<std::uint32_t>(key.size()), secret);
      keyed.insert(hash);
      upper.insert(hash >> 48);
      lower.insert(hash & 0xffff);
    }
    EXPECT_EQ(keyed.size(), keys.size());
    // 1024 keys into 65536 slots: about 8 meet another.
    EXPECT_GT(upper.size(), 980u);
    EXPECT_GT(lower.size(), 980u);
  }
}

TEST(GroupHash, keys_of_small_numbers_spread_over_the_slots) {
  seed_hash_secrets(2);
  for (int turn = 0; turn < 20; ++turn) {
    const hash_secret secret = draw_hash_secret();
    for (const int shift : {0, 8, 20, 40, 56}) {
      std::set<std::uint64_t> upper;
      std::set<std::uint64_t> lower;
      for (std::uint64_t i = 0; i < 256; ++i) {
        const std::uint64_t words[] = {1, i << shift};
        const std::uint64_t hash = hash_group_key(words, 2, secret);
        upper.insert(hash >> 48);
        lower.insert(hash & 0xffff);
      }
      EXPECT_GT(upper.size(), 245u) << shift;
      EXPECT_GT(lower.size(), 245u) << shift;
    }
  }
}

TEST(GroupHash, every_view_of_every_fold_has_a_secret_of_its_own) {
  const view_plan plan = stream_plan();
  const std::vector<std::uint16_t> columns = {0, 1, 2, 3, 4, 5, 6};
  const hash_secret one = compile_fold(plan, columns).secret;
  const hash_secret other = compile_fold(plan, columns).secret;
  EXPECT_NE(one.start, other.start);
  EXPECT_NE(one.multiplier, other.multiplier);
  EXPECT_EQ(one.multiplier % 2, 1u);
}

/// Everything that a fold says of a stream.
std::vector<std::byte> answers(std::uint64_t secrets, const std::vector<view_plan>& plans) {
  seed_hash_secrets(secrets);
  auto fold = make_cpu_fold(plans);
  const std::vector<stream_record> stream = make_stream({.records = 2000, .groups = 300});
  stream_cutter cutter(stream, {500}, 1'700'000'002'000'000);
  stream_cutter::block block;
  std::vector<view_clocks> clocks(plans.size());
  std::vector<std::byte> all;
  const auto add = [&](const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    all.insert(all.end(), bytes.begin(), bytes.end());
  };
  while (cutter.next(block)) {
    std::vector<fold_job::view_part> parts(plans.size());
    fold_block(**fold, block, clocks, parts);
    for (std::uint32_t v = 0; v < plans.size(); ++v) {
      window_rows open;
      EXPECT_TRUE((*fold)->read_open(v, {.rows_max = 50}, open).ok());
      add(open.keys);
    }
  }
  for (std::uint32_t v = 0; v < plans.size(); ++v) {
    window_rows rows;
    EXPECT_TRUE((*fold)->close(v, 1ll << 61, rows).ok());
    add(rows.keys);
    for (const result_value& value : rows.values)
      add(std::vector<std::uint64_t>{value.is_null ? ~0ull : value.bits});
  }
  return all;
}

TEST(GroupHash, no_answer_depends_on_the_secret) {
  std::vector<view_plan> plans = {stream_plan(), stream_plan({text_f}), stream_plan({key_f}),
                                  stream_plan({group_f, text_f})};
  plans[1].window = {.kind = window_kind::hopping, .size_us = 90'000, .hop_us = 30'000};
  plans[2].window = {.kind = window_kind::session, .size_us = 15'000};
  plans[3].top = top_plan{.aggregate = 0, .count = 5};
  for (std::size_t i = 0; i < plans.size(); ++i)
    plans[i].name = "v" + std::to_string(i);
  const std::vector<std::byte> first = answers(1, plans);
  EXPECT_GT(first.size(), 10'000u);
  for (std::uint64_t secrets = 2; secrets < 8; ++secrets)
    EXPECT_TRUE(std::ranges::equal(answers(secrets, plans), first)) << secrets;
}

}  // namespace
}  // namespace millrace::testing
