#include <set>

#include "shards/block_reader.h"
#include "shards/log_format.h"
#include "shards/segment.h"
#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

std::uint64_t newest_end(const log_fixture& test, std::uint64_t number) {
  // Blocks follow each other from the data's start on.
  const std::vector<std::byte> bytes = test.memory.content(test.segment(number));
  std::uint64_t at = log_format::snapshot_offset;
  while (at < bytes.size() && !parse_block_header(byte_view(bytes).subspan(at)))
    at += 4096;
  while (at < bytes.size()) {
    const auto header = parse_block_header(byte_view(bytes).subspan(at));
    if (!header) break;
    at += header->block_bytes;
  }
  return at;
}

TEST(recovery, a_last_block_torn_at_any_sector_is_cut_and_nothing_else_is_lost) {
  log_fixture probe;
  probe.write({{0, "first"}});
  probe.write({{0, "second"}, {1, std::string(9000, 'x')}});
  const std::string path = probe.segment(1);
  const std::vector<std::byte> whole = probe.memory.content(path);
  const std::uint64_t end = newest_end(probe, 1);
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
  const std::uint64_t hole = newest_end(torn, 1);
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
  const std::uint64_t start = newest_end(test, 1);
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
    const std::uint64_t start = newest_end(test, 1);
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

TEST(recovery, a_missing_or_damaged_index_is_built_anew) {
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
  const std::uint64_t end = newest_end(test, 3);
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

TEST(recovery, a_file_that_was_a_segment_is_never_removed_however_damaged) {
  log_fixture test;
  test.write({{0, "a"}});
  test.kill();
  test.write({{0, "b"}});
  for (const std::uint64_t offset : {8u, 2056u})
    test.memory.flip_bit(test.segment(2), offset, 0);
  test.memory.flip_bit(test.segment(2), newest_end(test, 2) - 4096, 0);
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
      const std::uint64_t start = newest_end(test, 1);
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

TEST(recovery, opened_for_reading_alone_a_log_is_left_as_it_is) {
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

TEST(recovery, the_newest_segment_goes_too_when_all_in_it_is_too_old) {
  log_fixture test;
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  test.submit(std::move(opening));
  auto one = std::make_unique<built_batch>();
  one->records_entry(who, epoch_number(1), record_number(0));
  one->record(shard_index(3), "k", "old");
  test.submit(std::move(one));
  EXPECT_EQ(test.log->drop_segments(test.wall_us + 1, 0), 0u) << "not while something is in flight";
  test.drain();
  EXPECT_EQ(test.log->drop_segments(test.wall_us, 0), 0u) << "not yet too old";
  EXPECT_GT(test.log->drop_segments(test.wall_us + 1, 0), 0u);
  EXPECT_EQ(test.log->drop_segments(test.wall_us + 1, 0), 0u) << "an empty one is enough";
  EXPECT_TRUE(test.memory.content(test.segment(1)).empty());
  EXPECT_LE(test.memory.content(test.segment(2)).size(), 3 * 4096u) << "reserves no room";
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(test.log->trim_horizon(shard_index(3)).value, 1u);
    EXPECT_EQ(test.log->next_index(shard_index(3)).value, 1u);
    EXPECT_EQ(test.log->producers().find(who)->next.value, 1u);
    EXPECT_TRUE(test.read_all(3).empty());
    test.kill();
    EXPECT_TRUE(test.report.damaged.empty());
  }
  test.write({{3, "new"}});
  EXPECT_EQ(test.read_all(3), texts{"new"});
  EXPECT_EQ(test.log->next_index(shard_index(3)).value, 2u);
  test.reopen();
  EXPECT_EQ(test.read_all(3), texts{"new"});
  EXPECT_TRUE(test.verify().empty());
}

TEST(recovery, a_producer_goes_on_where_its_log_ends) {
  log_fixture test;
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  built_batch& opened = test.submit(std::move(opening));
  test.drain();
  EXPECT_EQ(opened.batch().entries[0].result, outcome::committed);
  const epoch_number epoch = opened.batch().entries[0].epoch;
  EXPECT_EQ(epoch.value, 1u);
  for (std::uint64_t first : {0u, 2u}) {
    auto one = std::make_unique<built_batch>();
    one->records_entry(who, epoch, record_number(first));
    one->record(shard_index(0), "k", "r" + std::to_string(first));
    one->record(shard_index(1), "k", "r" + std::to_string(first + 1));
    test.submit(std::move(one));
  }
  test.drain();
  for (int i = 0; i < 3; ++i) {
    test.crash(0);
    ASSERT_TRUE(test.log->producers().find(who).has_value());
    EXPECT_EQ(test.log->producers().find(who)->next.value, 4u);
    EXPECT_EQ(test.log->producers().find(who)->epoch.value, 1u);
    test.write({{9, "so that the next start reads a snapshot"}});
  }
  const auto places = test.log->find_results(who, record_number(1), 3);
  ASSERT_TRUE(places.ok()) << "every start began a segment: " << places.failure().message();
  EXPECT_EQ((*places)[0].sequence.shard, shard_index(1));
  EXPECT_EQ((*places)[0].sequence.index.value, 0u);
  EXPECT_EQ((*places)[2].sequence.shard, shard_index(1));
  EXPECT_EQ((*places)[2].sequence.index.value, 1u);
}

TEST(recovery, results_are_looked_for_in_a_bounded_number_of_blocks) {
  log_fixture test({.segment_bytes = 64 * limits::mib});
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  test.submit(std::move(opening));
  auto one = std::make_unique<built_batch>();
  one->records_entry(who, epoch_number(1), record_number(0));
  one->record(shard_index(0), "k", "r");
  test.submit(std::move(one));
  test.drain();
  for (std::uint32_t i = 1; i < limits::results_blocks_max; ++i) {
    test.write({{0, "later"}});
  }
  EXPECT_TRUE(test.log->find_results(who, record_number(0), 1).ok()) << "in the last of them";
  test.write({{0, "later"}});
  for (int life = 0; life < 2; ++life) {
    const auto places = test.log->find_results(who, record_number(0), 1);
    ASSERT_FALSE(places.ok());
    EXPECT_EQ(places.failure().code(), error_code::not_found);
    test.kill();
    test.write({{0, "so that the next start reads a snapshot"}});
  }
}

// The oracle: whatever was acked before a crash is there after it, once and in order, and what
// comes back beyond it is a prefix of what was in flight.
void run_random_crashes(std::uint64_t seed, durability ack, int lives) {
  log_options options;
  options.segment_bytes = 96 * 1024;
  options.ack = ack;
  log_fixture test(options, seed);
  std::mt19937_64& random = test.random;
  std::map<std::uint32_t, texts> acked;
  std::map<std::uint32_t, texts> submitted;
  const producer_id who(seed + 1);
  std::uint64_t number = 0;
  for (int life = 0; life < lives; ++life) {
    // The producer reconnects and learns where to go on.
    auto opening = std::make_unique<built_batch>();
    opening->open_entry(who);
    built_batch& opened = test.submit(std::move(opening));
    test.drain();
    ASSERT_EQ(opened.batch().entries[0].result, outcome::committed);
    const epoch_number epoch = opened.batch().entries[0].epoch;
    std::uint64_t next = opened.batch().entries[0].next_record.value;
    std::vector<built_batch*> in_flight;
    const auto steps = 1 + random() % 12;
    for (std::uint64_t step = 0; step < steps; ++step) {
      if (random() % 8 == 0) {
        test.plan.good_writes = random() % 2;
        test.plan.failing_writes = random() % 3;
        test.plan.failing_syncs = random() % 2;
        test.plan.failing_allocations = random() % 2;
        test.plan.failing_removes = random() % 2;
      }
      if (test.log->can_append()) {
        auto one = std::make_unique<built_batch>();
        one->records_entry(who, epoch, record_number(next));
        const auto count = 1 + random() % 20;
        for (std::uint64_t i = 0; i < count; ++i, ++next) {
          const auto shard = static_cast<std::uint32_t>(random() % 3);
          std::string text = std::to_string(number++) +
                             std::string(random() % (random() % 40 == 0 ? 150'000 : 1500), '.');
          submitted[shard].push_back(text);
          one->record(shard_index(shard), "k", text);
        }
        in_flight.push_back(&test.submit(std::move(one)));
      }
      if (random() % 3 == 0) test.memory.allow_writes(random() % 3);
      test.poll(random() % 2 == 0 ? 1000 : 300'000);
    }
    for (built_batch* const one : in_flight) {
      if (one->batch().result != outcome::committed) break;
      for (std::size_t i = 0; i < one->batch().records.size(); ++i) {
        const byte_view data = one->batch().records[i].view().data();
        acked[one->shard_of(i).value].emplace_back(reinterpret_cast<const char*>(data.data()),
                                                   data.size());
      }
    }
    test.plan.good_writes = test.plan.failing_writes = test.plan.failing_syncs = 0;
    test.plan.failing_allocations = test.plan.failing_removes = 0;
    if (ack == durability::written || random() % 3 == 0) {
      test.kill();
    } else {
      test.crash(static_cast<std::uint32_t>(random() % 3) * 128);
    }
    std::uint64_t total = 0;
    for (std::uint32_t shard = 0; shard < 3; ++shard) {
      const texts read = test.read_all(shard);
      ASSERT_GE(read.size(), acked[shard].size()) << "seed " << seed << " life " << life;
      ASSERT_LE(read.size(), submitted[shard].size());
      ASSERT_TRUE(std::equal(read.begin(), read.end(), submitted[shard].begin()))
          << "seed " << seed << " life " << life << " shard " << shard;
      acked[shard] = submitted[shard] = read;
      total += read.size();
      ASSERT_EQ(test.log->next_index(shard_index(shard)).value, read.size());
    }
    ASSERT_EQ(test.log->producers().find(who)->next.value, total) << "seed " << seed;
    ASSERT_TRUE(test.report.damaged.empty()) << test.report.damaged[0].what << " seed " << seed;
    const auto damaged = test.verify();
    ASSERT_TRUE(damaged.empty()) << damaged[0].path << " " << damaged[0].from << " "
                                 << damaged[0].what << " seed " << seed << " life " << life;
  }
}

TEST(recovery, random_power_failures_and_faults_never_lose_or_double_an_acked_record) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    run_random_crashes(seed, durability::durable, 12);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(recovery, killing_the_program_loses_nothing_even_when_acked_at_written) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    run_random_crashes(seed, durability::written, 8);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace millrace
