#include "ingest/generator.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/record_format.h"
#include "ingest/key_finder.h"

namespace millrace {
namespace {

std::string text_of(const input_record& record) {
  return {reinterpret_cast<const char*>(record.data.data()), record.data.size()};
}

std::vector<std::pair<std::string, std::string>> make(const generator_options& options, int count) {
  auto generator = *record_generator::create(options);
  std::vector<std::pair<std::string, std::string>> made;
  input_record record;
  for (int i = 0; i < count; ++i) {
    generator->next(record);
    EXPECT_EQ(record.number, static_cast<std::uint64_t>(i));
    made.emplace_back(record.key, text_of(record));
  }
  return made;
}

TEST(generator, the_same_seed_makes_the_same_records_and_another_does_not) {
  for (const std::string_view name : record_generator::names()) {
    const generator_options options{.name = std::string(name), .seed = 5};
    EXPECT_EQ(make(options, 200), make(options, 200));
    generator_options other = options;
    other.seed = 6;
    EXPECT_NE(make(options, 200), make(other, 200));
  }
}

TEST(generator, every_record_is_a_json_object_with_a_usable_key_of_the_wanted_size) {
  const auto json = make_json_finder("ts");
  for (const std::string_view name : record_generator::names()) {
    for (const std::uint32_t size : {0u, 96u, 100u, 200u, 400u, 1'024u, 100'000u}) {
      for (auto& [key, data] : make({.name = std::string(name), .size = size, .keys = 500}, 100)) {
        EXPECT_EQ(check_partition_key(key), record_fault::none);
        if (size != 0) {
          ASSERT_EQ(data.size(), size) << name;
        }
        data.reserve(data.size() + 64);
        const auto ts = json->find(data);
        ASSERT_TRUE(ts.ok()) << data << ts.failure().message();
        EXPECT_EQ(*ts, "1750000000000");
      }
    }
  }
}

TEST(generator, there_are_as_many_keys_as_asked_for) {
  for (const std::string_view name : record_generator::names()) {
    std::set<std::string> keys;
    for (const auto& one : make({.name = std::string(name), .keys = 40, .skew = 0}, 5'000))
      keys.insert(one.first);
    EXPECT_EQ(keys.size(), 40u) << name;
  }
}

TEST(generator, options_out_of_range_are_refused_with_the_limit) {
  EXPECT_FALSE(record_generator::create({.name = "weather"}).ok());
  EXPECT_FALSE(record_generator::create({.name = "clicks", .size = 95}).ok());
  EXPECT_FALSE(record_generator::create({.name = "clicks", .size = 11 << 20}).ok());
  EXPECT_FALSE(record_generator::create({.name = "clicks", .keys = 0}).ok());
  EXPECT_FALSE(record_generator::create({.name = "clicks", .skew = -1}).ok());
  EXPECT_FALSE(record_generator::create({.name = "clicks", .skew = std::nan("")}).ok());
}

TEST(zipf, ranks_come_as_often_as_zipf_says) {
  constexpr std::uint64_t count = 1'000;
  constexpr int draws = 400'000;
  for (const double exponent : {0.5, 0.99, 1.0, 1.5, 3.0}) {
    const zipf_ranks ranks(count, exponent);
    fast_random random(11);
    std::vector<int> seen(count);
    for (int i = 0; i < draws; ++i) {
      const std::uint64_t rank = ranks.next(random);
      ASSERT_LT(rank, count);
      ++seen[rank];
    }
    double sum = 0;
    for (std::uint64_t r = 1; r <= count; ++r)
      sum += std::pow(static_cast<double>(r), -exponent);
    for (const std::uint64_t r : {1u, 2u, 3u, 10u, 100u}) {
      const double expected = draws * std::pow(static_cast<double>(r), -exponent) / sum;
      // Six standard deviations, and room for the rarest.
      EXPECT_NEAR(seen[r - 1], expected, 6 * std::sqrt(expected) + 5) << exponent << " " << r;
    }
  }
}

TEST(zipf, one_key_and_no_skew_are_no_special_cases) {
  fast_random random(3);
  const zipf_ranks one(1, 1.2);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(one.next(random), 0u);
  const zipf_ranks flat(10, 0);
  std::vector<int> seen(10);
  for (int i = 0; i < 10'000; ++i)
    ++seen[flat.next(random)];
  for (const int times : seen)
    EXPECT_NEAR(times, 1'000, 200);
}

}  // namespace
}  // namespace millrace
