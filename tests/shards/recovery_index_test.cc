#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

TEST(recovery_index, a_missing_or_damaged_index_is_built_anew) {
  log_fixture test;
  test.write({{0, "a"}, {5, "b"}});
  test.kill();
  test.write({{0, "c"}});
  ASSERT_TRUE(test.memory.remove(test.index(1)).ok());
  test.kill();
  EXPECT_TRUE(test.report.damaged.empty());
  EXPECT_EQ(test.read_all(0), (texts{"a", "c"}));
  EXPECT_FALSE(test.memory.content(test.index(1)).empty()) << "written again";
  const std::uint64_t bytes = test.memory.content(test.index(1)).size();
  for (std::uint64_t offset = 0; offset < bytes; offset += 61) {
    test.memory.flip_bit(test.index(1), offset, 2);
    test.kill();
    EXPECT_EQ(test.read_all(0), (texts{"a", "c"})) << offset;
    EXPECT_EQ(test.read_all(5), texts{"b"}) << offset;
  }
}

TEST(recovery_index, a_segment_that_is_full_gets_its_index_and_no_start_reads_its_blocks_again) {
  log_fixture test({.segment_bytes = 64 * 1024});
  texts written;
  while (test.memory.content(test.segment(2)).empty()) {
    written.push_back(std::to_string(written.size()) + std::string(10'000, '.'));
    test.write({{0, written.back()}});
  }
  ASSERT_GT(written.size(), 3u);
  for (int life = 0; life < 3; ++life) {
    if (life < 2) {
      test.kill();
    } else {
      test.reopen();
    }
    EXPECT_EQ(test.report.blocks_scanned, 1u) << "the one in the newest segment; life " << life;
    EXPECT_TRUE(test.report.damaged.empty());
    EXPECT_EQ(test.read_all(0), written);
  }
}

/// A log whose first, closed segment has three blocks, the second one with a flipped bit at
/// `offset`.
struct damaged_block {
  explicit damaged_block(std::uint64_t offset) {
    test.write({{0, "one"}});
    start = test.newest_end(1);
    test.write({{0, "two"}});
    test.write({{0, "three"}});
    test.kill();
    test.write({{0, "four"}});
    test.memory.flip_bit(test.segment(1), start + offset, 3);
  }
  /// The block is among what the start found; nothing but it and, perhaps, the index.
  void expect_block_reported() const {
    int found = 0;
    for (const damage& one : test.report.damaged) {
      if (one.path != test.segment(1)) continue;
      EXPECT_EQ(one.from, start);
      EXPECT_EQ(one.to, start + 4096);
      ++found;
    }
    EXPECT_EQ(found, 1);
  }
  log_fixture test;
  std::uint64_t start = 0;
};

constexpr std::uint64_t in_header = 40;
constexpr std::uint64_t in_meta = sizeof(log_format::block_header) + 4;

TEST(recovery_index, a_damaged_block_is_reported_when_a_missing_index_is_built_anew) {
  for (const std::uint64_t offset : {in_header, in_meta}) {
    damaged_block log(offset);
    ASSERT_TRUE(log.test.memory.remove(log.test.index(1)).ok());
    log.test.kill();
    log.expect_block_reported();
    EXPECT_EQ(log.test.report.damaged.size(), 1u) << "a missing index is no damage";
    EXPECT_EQ(log.test.read_all(0), (texts{"one", "three", "four"}));
  }
}

TEST(recovery_index, a_damaged_block_is_reported_when_a_damaged_directory_is_built_anew) {
  damaged_block log(in_header);
  log.test.memory.flip_bit(log.test.index(1), log_format::directory_offset(1) + 8, 0);
  log.test.kill();
  log.expect_block_reported();
  EXPECT_EQ(log.test.report.damaged.size(), 2u) << "the index as well";
  EXPECT_EQ(log.test.read_all(0), (texts{"one", "three", "four"}));
}

TEST(recovery_index, what_cannot_be_read_now_is_left_out_of_no_index_for_good) {
  log_fixture test;
  test.write({{0, "one"}});
  const std::uint64_t start = test.newest_end(1);
  test.write({{0, "two"}});
  test.kill();
  test.write({{0, "three"}});
  ASSERT_TRUE(test.memory.remove(test.index(1)).ok());
  test.plan.bad_suffix = test.segment(1);
  test.plan.bad_from = start;
  test.plan.bad_to = start + 4096;
  test.kill();
  EXPECT_EQ(test.report.damaged.size(), 1u);
  EXPECT_EQ(test.read_all(0), (texts{"one", "three"}));
  test.write({{0, "four"}});  // the next segment: the one before gets its index
  EXPECT_FALSE(test.memory.content(test.index(2)).empty());
  test.plan.bad_to = 0;
  test.kill();
  EXPECT_TRUE(test.report.damaged.empty());
  EXPECT_EQ(test.read_all(0), (texts{"one", "two", "three", "four"}));
  EXPECT_FALSE(test.memory.content(test.index(1)).empty());
}

TEST(recovery_index, opened_for_reading_alone_a_log_is_left_as_it_is) {
  log_fixture test;
  test.write({{0, "a"}});
  test.kill();
  test.write({{0, "b"}});
  test.kill();
  test.log = nullptr;
  ASSERT_TRUE(test.memory.remove(test.index(1)).ok());
  const auto before = test.names();
  const auto bytes = test.memory.content(test.segment(2));
  test.options.read_only = true;
  test.reopen();
  EXPECT_FALSE(test.log->can_append());
  EXPECT_EQ(test.read_all(0), (texts{"a", "b"}));
  EXPECT_TRUE(test.verify().empty());
  test.log = nullptr;
  EXPECT_EQ(test.names(), before);
  EXPECT_EQ(test.memory.content(test.segment(2)), bytes);
}

}  // namespace
}  // namespace millrace
