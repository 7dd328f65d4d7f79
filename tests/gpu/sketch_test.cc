// That the sketches are as good as they say, merge exactly, and that sums lose nothing.
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/endian.h"
#include "gpu/aggregate.h"
#include "gpu/sketch_arena.h"

namespace millrace {
namespace {

void count_distinct(sketch_arena& arena, std::uint64_t& sketch, std::uint64_t value) {
  const hll_update update = hll_update_of(hash_words(&value, 1));
  ASSERT_TRUE(arena.prepare(sketch, update.index, true));
  arena.raise(sketch, update.index, update.rank);
}

void count_value(sketch_arena& arena, std::uint64_t& sketch, double value) {
  const std::uint32_t bin = dds_bin(load<std::uint64_t>(&value));
  ASSERT_TRUE(arena.prepare(sketch, bin, false));
  arena.add(sketch, bin, 1);
}

bool is_same(std::uint64_t a, std::uint64_t b) {
  return std::ranges::equal(sketch_arena::entries(a), sketch_arena::entries(b),
                            [](const sketch_entry& x, const sketch_entry& y) {
                              return x.key == y.key && x.count == y.count;
                            });
}

TEST(HyperLogLog, is_within_five_standard_errors_from_one_to_a_million) {
  memory_budget budget = unlimited_budget();
  sketch_arena arena(budget, draw_hash_secret());
  std::uint64_t sketch = 0;
  std::uint64_t count = 0;
  for (const std::uint64_t upto : {1, 2, 10, 100, 1000, 4000, 10'000, 100'000, 1'000'000}) {
    for (; count < upto; ++count) {
      count_distinct(arena, sketch, count * 0x123456789);
      count_distinct(arena, sketch, count * 0x123456789);  // again: no difference
    }
    const auto estimate = static_cast<double>(distinct_estimate(sketch));
    EXPECT_NEAR(estimate, static_cast<double>(upto), std::max(0.5, 5 * 0.01625 * upto)) << upto;
  }
}

TEST(HyperLogLog, parts_together_are_the_whole) {
  memory_budget budget = unlimited_budget();
  sketch_arena arena(budget, draw_hash_secret());
  for (const std::uint64_t count : {5u, 300u, 5000u}) {
    std::uint64_t whole = 0, one = 0, two = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      count_distinct(arena, whole, i);
      count_distinct(arena, i % 3 == 0 ? one : two, i);
    }
    ASSERT_TRUE(arena.merge(one, two, true));
    EXPECT_TRUE(is_same(one, whole));
  }
}

TEST(DdSketch, every_value_is_within_its_bins_accuracy_and_bins_keep_the_order) {
  std::mt19937_64 random(1);
  std::vector<double> values;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t bits = random();
    const auto value = load<double>(&bits);
    if (value == value && value - value == 0 && (value > 1e-300 || value < -1e-300)) {
      values.push_back(value);
    }
  }
  std::ranges::sort(values);
  std::uint32_t before = 0;
  for (const double value : values) {
    const std::uint32_t bin = dds_bin(load<std::uint64_t>(&value));
    ASSERT_GE(bin, before);
    before = bin;
    const double middle = double_of(dds_middle(bin));
    ASSERT_LE(middle > value ? middle - value : value - middle, (value > 0 ? value : -value) / 128)
        << value;
  }
}

TEST(DdSketch, zeros_infinities_and_the_smallest_have_bins_of_their_own) {
  EXPECT_EQ(dds_middle(dds_bin(0)), 0u);
  EXPECT_EQ(dds_bin(sign_bit), dds_bin(0));
  EXPECT_EQ(dds_bin(1), dds_bin(0));
  EXPECT_EQ(dds_middle(dds_bin(infinity_bits)), infinity_bits);
  EXPECT_EQ(dds_middle(dds_bin(infinity_bits | sign_bit)), infinity_bits | sign_bit);
  EXPECT_LT(dds_bin(infinity_bits), dds_bins);
  EXPECT_GT(dds_bin(infinity_bits | sign_bit), 0u);
}

TEST(DdSketch, quantiles_are_within_the_accuracy_and_parts_together_are_the_whole) {
  memory_budget budget = unlimited_budget();
  sketch_arena arena(budget, draw_hash_secret());
  std::mt19937_64 random(2);
  std::vector<double> values;
  std::uint64_t whole = 0, one = 0, two = 0;
  for (int i = 0; i < 50'000; ++i) {
    const double value = static_cast<double>(random() % 1'000'000) - 200'000;
    values.push_back(value);
    count_value(arena, whole, value);
    count_value(arena, i % 2 == 0 ? one : two, value);
  }
  std::ranges::sort(values);
  ASSERT_TRUE(arena.merge(one, two, false));
  EXPECT_TRUE(is_same(one, whole));
  for (const double quantile : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    std::uint64_t bits = 0;
    ASSERT_TRUE(quantile_estimate(whole, quantile, bits));
    const double exact = values[dds_rank(quantile, values.size())];
    EXPECT_NEAR(double_of(bits), exact, (exact < 0 ? -exact : exact) / 128) << quantile;
  }
}

/// As many bins as fit into the table, all of which begin where the first one does.
TEST(Sketches, bins_that_meet_in_one_place_are_spread_by_the_next_secret) {
  constexpr std::uint32_t slots_log2 = 10;
  memory_budget budget = unlimited_budget();
  seed_hash_secrets(1);
  const sketch_arena known(budget, draw_hash_secret());
  std::vector<std::uint32_t> bins;
  for (std::uint32_t bin = 0; bin < dds_bins; ++bin) {
    if (known.home(bin, slots_log2) == 0) bins.push_back(bin);
  }
  ASSERT_GT(bins.size(), 200u);
  for (int i = 0; i < 20; ++i) {
    const sketch_arena other(budget, draw_hash_secret());
    std::vector<std::uint32_t> met(1u << slots_log2);
    for (const std::uint32_t bin : bins)
      ++met[other.home(bin, slots_log2)];
    EXPECT_LT(*std::ranges::max_element(met), 10u);
  }
}

TEST(ExactSum, of_integers_holds_128_bits_in_any_order) {
  std::uint64_t sum[2] = {};
  std::vector<std::int64_t> values(1000, INT64_MAX);
  values.insert(values.end(), 1000, INT64_MIN);
  values.push_back(-5);
  std::mt19937_64 random(1);
  std::ranges::shuffle(values, random);
  for (const std::int64_t one : values)
    add_int<plain_words>(sum, one);
  EXPECT_EQ(static_cast<std::int64_t>(sum[0]), -1005);
  EXPECT_EQ(sum[1], ~0ull);
  EXPECT_EQ(sum_as_double(sum[0], sum[1]), -1005.0);
}

TEST(ExactSum, of_doubles_is_within_1e_15_of_the_magnitudes_after_ten_million) {
  std::mt19937_64 random(1);
  std::uint64_t sum[2] = {};
  __extension__ __int128 exact = 0;
  for (int i = 0; i < 10'000'000; ++i) {
    // Multiples of 2^-30: their exact sum fits in 128 bits.
    const auto units = static_cast<std::int64_t>(random() >> 12) - (1ll << 50);
    exact += units;
    add_double<plain_words>(sum, static_cast<double>(units) * 0x1p-30);
  }
  const double expected = static_cast<double>(exact) * 0x1p-30;
  EXPECT_NEAR(double_of(sum[0]) + double_of(sum[1]), expected, 1e7 * 0x1p21 * 1e-15);
}

TEST(ExactSum, deviations_survive_a_mean_twelve_digits_larger) {
  std::uint64_t sum[2] = {}, squares[2] = {};
  for (int i = 0; i < 1000; ++i) {
    const double x = 1e12 + (i % 2);
    add_double<plain_words>(sum, x);
    const exact_double square = product_of(x, x);
    add_double<plain_words>(squares, square.rounded, square.lost);
  }
  const double deviations = squared_deviations(double_of(sum[0]), double_of(sum[1]),
                                               double_of(squares[0]), double_of(squares[1]), 1000);
  EXPECT_NEAR(deviations, 250.0, 1e-6);
}

}  // namespace
}  // namespace millrace
