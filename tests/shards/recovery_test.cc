#include <set>

#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

TEST(recovery, a_last_block_torn_at_any_sector_is_cut_and_nothing_else_is_lost) {
  log_fixture probe;
  probe.write({{0, "first"}});
  probe.write({{0, "second"}, {1, std::string(9000, 'x')}});
  const std::string path = probe.segment(1);
  const std::vector<std::byte> whole = probe.memory.content(path);
  const std::uint64_t end = probe.newest_end(1);
  const std::uint64_t start = end - 3 * 4096;
  // The last sectors are padding: their loss is none.
  const std::uint64_t used_sectors = (9000 + 400) / 512;
  for (std::uint64_t sector = 0; sector < (end - start) / 512; ++sector) {
    log_fixture test;
    test.write({{0, "other"}});
    test.log = nullptr;
    std::vector<std::byte> torn = whole;
    std::fill_n(torn.begin() + static_cast<std::ptrdiff_t>(start + sector * 512), 512,
                std::byte{0});
    test.memory.set_content(path, torn);
    test.reopen();
    const bool lost = sector <= used_sectors;
    EXPECT_EQ(test.read_all(0), lost ? texts{"first"} : (texts{"first", "second"})) << sector;
    EXPECT_TRUE(test.report.damaged.empty()) << sector;
    EXPECT_EQ(test.report.bytes_cut > 0, lost) << sector;
    // The index of the lost record is free again: it was never acked. Writing goes on.
    test.write({{0, "third"}});
    test.reopen();
    EXPECT_EQ(test.read_all(0).back(), "third");
    EXPECT_TRUE(test.verify().empty());
  }
}

TEST(recovery, a_hole_beyond_the_durable_mark_cuts_the_whole_blocks_behind_it) {
  log_fixture test;
  test.write({{0, "acked"}});
  test.memory.hold_writes(true);
  test.submit({{0, "lost"}});
  test.submit({{0, "behind the hole"}});
  test.kill();
  EXPECT_EQ(test.read_all(0), (texts{"acked", "lost", "behind the hole"}));

  log_fixture torn;
  torn.write({{0, "acked"}});
  const std::uint64_t hole = torn.newest_end(1);
  torn.memory.hold_writes(true);
  torn.submit({{0, "lost"}});
  torn.submit({{0, "behind the hole"}});
  torn.memory.kill();
  std::vector<std::byte> bytes = torn.memory.content(torn.segment(1));
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(hole), 4096, std::byte{0});
  torn.memory.set_content(torn.segment(1), bytes);
  torn.kill();
  EXPECT_EQ(torn.read_all(0), texts{"acked"});
  EXPECT_TRUE(torn.report.damaged.empty());
  EXPECT_EQ(torn.report.bytes_cut, 2 * 4096u);
  torn.write({{0, "again"}});
  torn.kill();
  EXPECT_EQ(torn.read_all(0), (texts{"acked", "again"})) << "what was cut stays cut";
}

TEST(recovery, damage_before_the_durable_mark_is_reported_and_skipped) {
  log_fixture test;
  test.write({{0, "one"}});
  const std::uint64_t start = test.newest_end(1);
  test.write({{0, "two"}});
  test.write({{0, "three"}});
  test.memory.flip_bit(test.segment(1), start + 40, 3);  // the header's incarnation
  test.kill();
  ASSERT_EQ(test.report.damaged.size(), 1u);
  EXPECT_EQ(test.report.damaged[0].from, start);
  EXPECT_EQ(test.report.damaged[0].to, start + 4096);
  EXPECT_EQ(test.report.bytes_cut, 0u);
  EXPECT_EQ(test.read_all(0), (texts{"one", "three"}));
  EXPECT_EQ(test.log->next_index(shard_index(0)).value, 3u);
}

TEST(recovery, a_flipped_bit_anywhere_in_a_block_is_found_and_costs_no_other_block) {
  for (std::uint64_t offset = 0; offset < 4096; offset += 13) {
    log_fixture test;
    test.write({{0, "one"}});
    const std::uint64_t start = test.newest_end(1);
    test.write({{0, "two"}, {1, "zwei"}, {0, "deux"}});
    test.write({{0, "three"}});
    test.memory.flip_bit(test.segment(1), start + offset, static_cast<unsigned>(offset));
    test.kill();
    const texts read = test.read_all(0);
    ASSERT_GE(read.size(), 2u) << offset;
    EXPECT_EQ(read.front(), "one");
    EXPECT_EQ(read.back(), "three");
    for (const std::string& one : read) {
      EXPECT_TRUE(std::set<std::string>({"one", "two", "deux", "three"}).contains(one)) << one;
    }
    EXPECT_FALSE(test.verify().empty()) << "offset " << offset << " in the block";
  }
}

TEST(recovery, a_flipped_bit_in_the_segment_header_or_the_snapshot_is_survived_and_reported) {
  for (const std::uint64_t offset : {0u, 20u, 127u, 2048u, 2100u, 4096u, 4110u, 4200u}) {
    log_fixture test;
    test.write({{0, "old"}});
    test.kill();  // the next segment's snapshot says something
    test.write({{0, "new"}});
    test.memory.flip_bit(test.segment(2), offset, 1);
    test.kill();
    EXPECT_EQ(test.read_all(0), (texts{"old", "new"})) << offset;
    EXPECT_EQ(test.log->next_index(shard_index(0)).value, 2u) << offset;
    const bool in_use = offset != 4200;  // in the snapshot's padding
    EXPECT_EQ(test.report.damaged.empty(), !in_use) << offset;
  }
}

TEST(recovery, both_copies_of_a_segment_header_may_be_lost) {
  log_fixture test;
  test.write({{0, "old"}});
  test.kill();
  test.write({{0, "new"}});
  test.memory.flip_bit(test.segment(2), 8, 0);
  test.memory.flip_bit(test.segment(2), 2056, 0);
  test.kill();
  EXPECT_EQ(test.read_all(0), (texts{"old", "new"}));
  EXPECT_FALSE(test.report.damaged.empty());
}

TEST(recovery, a_segment_whose_creation_was_interrupted_is_no_segment) {
  log_fixture test;
  test.write({{0, "a"}});
  test.log = nullptr;
  test.memory.set_content(test.segment(2), {});
  test.memory.set_content(test.segment(3), std::vector<std::byte>(64 * 1024));
  test.reopen();
  EXPECT_EQ(test.read_all(0), texts{"a"});
  EXPECT_TRUE(test.report.damaged.empty());
  test.write({{0, "b"}});
  EXPECT_EQ(test.read_all(0), (texts{"a", "b"}));
  test.reopen();
  EXPECT_EQ(test.read_all(0), (texts{"a", "b"}));
  EXPECT_TRUE(test.memory.content(test.segment(2)).empty());
  EXPECT_FALSE(test.memory.content(test.segment(4)).empty()) << "numbers are not used again";
}

TEST(recovery, what_cannot_be_read_now_stops_the_start_and_costs_no_record) {
  log_fixture test;
  test.write({{0, "a"}});
  test.kill();
  test.write({{0, "b"}});
  test.kill();
  test.write({{0, "c"}});
  test.memory.kill();
  for (std::uint64_t number = 1; number <= 3; ++number) {
    test.log = nullptr;
    test.plan.bad_suffix = test.segment(number);
    test.plan.bad_from = 0;
    test.plan.bad_to = 4096;
    EXPECT_NE(test.refusal().find(test.segment(number)), std::string::npos) << "its header";
    test.plan.bad_to = 0;
  }
  // The newest block is beyond every durable mark: a read error there must not look like a hole.
  const std::uint64_t end = test.newest_end(3);
  test.plan.bad_from = end - 4096;
  test.plan.bad_to = end;
  EXPECT_NE(test.refusal().find(test.segment(3)), std::string::npos);
  test.plan.bad_to = 0;
  test.plan.failing_opens = 1;
  EXPECT_NE(test.refusal().find("open"), std::string::npos);
  test.reopen();
  EXPECT_EQ(test.read_all(0), (texts{"a", "b", "c"}));
  EXPECT_TRUE(test.report.damaged.empty());
  test.write({{0, "d"}});
  test.reopen();
  EXPECT_EQ(test.read_all(0), (texts{"a", "b", "c", "d"}));
}

TEST(recovery, a_state_that_only_unreadable_blocks_tell_stops_the_start) {
  log_fixture test;
  test.write({{0, "a"}});
  const std::uint64_t start = test.newest_end(1);
  test.write({{0, "b"}});
  test.kill();
  test.write({{1, "c"}});
  test.memory.flip_bit(test.segment(2), log_format::snapshot_offset, 1);
  test.log = nullptr;
  test.plan.bad_suffix = test.segment(1);
  test.plan.bad_from = start;
  test.plan.bad_to = start + 4096;
  EXPECT_NE(test.refusal().find(test.segment(1)), std::string::npos);
  test.plan.bad_to = 0;
  test.reopen();
  EXPECT_EQ(test.log->next_index(shard_index(0)).value, 2u);
}

TEST(recovery, a_file_that_was_a_segment_is_never_removed_however_damaged) {
  log_fixture test;
  test.write({{0, "a"}});
  test.kill();
  test.write({{0, "b"}});
  for (const std::uint64_t offset : {8u, 2056u})
    test.memory.flip_bit(test.segment(2), offset, 0);
  test.memory.flip_bit(test.segment(2), test.newest_end(2) - 4096, 0);
  test.kill();
  ASSERT_EQ(test.report.damaged.size(), 1u);
  EXPECT_EQ(test.report.damaged[0].path, test.segment(2));
  EXPECT_EQ(test.read_all(0), texts{"a"});
  test.write({{0, "c"}});
  test.reopen();
  EXPECT_FALSE(test.memory.content(test.segment(2)).empty());
  EXPECT_EQ(test.read_all(0), (texts{"a", "c"}));
}

TEST(recovery, after_a_clean_stop_damage_to_the_last_block_is_damage_and_no_torn_tail) {
  for (const durability ack : {durability::durable, durability::written}) {
    for (std::uint64_t offset = 0; offset < 240; offset += 7) {
      log_fixture test({.segment_bytes = 256 * 1024, .ack = ack});
      test.write({{0, "one"}});
      const std::uint64_t start = test.newest_end(1);
      test.write({{0, "two"}});
      test.log = nullptr;
      test.memory.flip_bit(test.segment(1), start + offset, static_cast<unsigned>(offset));
      test.reopen();
      EXPECT_EQ(test.report.bytes_cut, 0u) << offset;
      const auto found = test.verify();
      ASSERT_FALSE(found.empty()) << offset;
      EXPECT_GE(found[0].from, start);
      EXPECT_LE(found[0].to, start + 4096);
      EXPECT_EQ(test.read_all(0)[0], "one");
      test.write({{0, "three"}});
      test.reopen();
      EXPECT_EQ(test.read_all(0).back(), "three");
      EXPECT_FALSE(test.verify().empty()) << "it stays known";
    }
  }
}

}  // namespace
}  // namespace millrace
