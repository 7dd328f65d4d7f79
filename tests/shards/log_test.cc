#include <filesystem>
#include <thread>

#include <stdlib.h>

#include "base/crc32c.h"
#include "shards/block_builder.h"
#include "shards/log_format.h"
#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

TEST(log, a_record_comes_back_as_it_was_written) {
  log_fixture test;
  built_batch& one = test.write({{3, "hello"}, {1, "world"}, {3, "again"}});
  EXPECT_EQ(one.batch().result, outcome::committed);
  EXPECT_EQ(one.batch().entries[0].result, outcome::committed);
  EXPECT_EQ(test.read_all(3), (texts{"hello", "again"}));
  EXPECT_EQ(test.read_all(1), texts{"world"});
  EXPECT_TRUE(test.read_all(2).empty());
  EXPECT_EQ(test.log->durable_end(shard_index(3)).value, 2u);
  test.reopen();
  EXPECT_EQ(test.read_all(3), (texts{"hello", "again"}));
  EXPECT_EQ(test.read_all(1), texts{"world"});
  EXPECT_TRUE(test.verify().empty());
}

TEST(log, acks_come_in_append_order_and_only_for_what_is_durable) {
  log_fixture test;
  test.memory.hold_writes(true);
  std::vector<record_batch*> submitted;
  while (test.log->can_append())
    submitted.push_back(&test.submit({{0, "x"}}).batch());
  EXPECT_EQ(submitted.size(), limits::flushes_in_flight_max + 1) << "one is built ahead";
  EXPECT_EQ(test.poll(), 0u);
  EXPECT_TRUE(test.read_all(0).empty()) << "nothing is shown before it is durable";
  EXPECT_EQ(test.log->next_index(shard_index(0)).value, submitted.size());
  test.memory.allow_writes(2);
  EXPECT_EQ(test.poll(), 2u);
  EXPECT_EQ(test.done, (std::vector<record_batch*>{submitted[0], submitted[1]}));
  test.memory.hold_writes(false);
  test.drain();
  EXPECT_TRUE(test.log->idle());
  EXPECT_EQ(test.read_all(0).size(), submitted.size());
}

TEST(log, entries_that_are_fenced_or_out_of_order_leave_nothing_in_the_log) {
  log_fixture test;
  const producer_id who(5);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  opening->open_entry(who);
  built_batch& opened = test.submit(std::move(opening));
  test.drain();
  EXPECT_EQ(opened.batch().entries[1].epoch.value, 2u);

  auto one = std::make_unique<built_batch>();
  const auto add = [&](std::uint32_t epoch, std::uint64_t first, const std::string& text) {
    one->records_entry(who, epoch_number(epoch), record_number(first));
    one->record(shard_index(0), "k", text);
  };
  add(1, 0, "old epoch");
  add(2, 0, "good");
  add(2, 5, "gap");
  add(2, 1, "good too");
  add(2, 0, "double");
  built_batch& mixed = test.submit(std::move(one));
  test.drain();
  std::vector<outcome> results;
  for (const batch_entry& entry : mixed.batch().entries)
    results.push_back(entry.result);
  EXPECT_EQ(results,
            (std::vector<outcome>{outcome::fenced, outcome::committed, outcome::out_of_order,
                                  outcome::committed, outcome::out_of_order}));
  EXPECT_EQ(mixed.batch().records.size(), 2u);
  EXPECT_EQ(test.read_all(0), (texts{"good", "good too"}));

  auto refused = std::make_unique<built_batch>();
  refused->records_entry(who, epoch_number(1), record_number(2));
  refused->record(shard_index(0), "k", "old");
  built_batch& nothing = test.submit(std::move(refused));
  EXPECT_EQ(test.poll(), 1u) << "a batch without a block comes back too";
  EXPECT_EQ(nothing.batch().entries[0].result, outcome::fenced);
}

TEST(log, results_are_found_again_after_a_crash) {
  log_fixture test;
  const producer_id who(9);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  test.submit(std::move(opening));
  for (std::uint64_t first = 0; first < 40; first += 10) {
    auto one = std::make_unique<built_batch>();
    one->raw_entry();
    one->record(shard_index(1), "k", "other");
    one->records_entry(who, epoch_number(1), record_number(first));
    for (std::uint64_t i = 0; i < 10; ++i) {
      one->record(shard_index(static_cast<std::uint32_t>((first + i) % 3)), "k",
                  std::to_string(first + i));
    }
    test.submit(std::move(one));
    test.drain();
  }
  for (int round = 0; round < 2; ++round) {
    const auto places = test.log->find_results(who, record_number(5), 30);
    ASSERT_TRUE(places.ok()) << places.failure().message();
    ASSERT_EQ(places->size(), 30u);
    for (std::uint64_t i = 0; i < 30; ++i) {
      const sequence_number& at = (*places)[i].sequence;
      EXPECT_EQ(at.shard.value, (5 + i) % 3);
      EXPECT_EQ(at.shard_created_s, 1000u);
      const auto chunk = test.log->read(at.shard, at.index, 1, 1);
      ASSERT_TRUE(chunk.ok() && chunk->records.size() == 1);
      const byte_view data = chunk->records[0].record.data();
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()),
                std::to_string(5 + i));
    }
    test.crash(0);
  }
  EXPECT_FALSE(test.log->find_results(who, record_number(39), 2).ok()) << "39 alone is there";
}

TEST(log, a_failed_write_is_written_anew_into_a_fresh_segment) {
  log_fixture test;
  test.write({{0, "before"}});
  test.plan.failing_writes = 2;
  test.submit({{0, "one"}});
  test.submit({{0, "two"}});
  test.submit({{0, "three"}});
  EXPECT_EQ(test.poll(), 0u);
  ASSERT_TRUE(test.log->blocked().has_value());
  EXPECT_FALSE(test.log->can_append());
  EXPECT_EQ(test.read_all(0), texts{"before"}) << "what was acked stays readable";
  EXPECT_EQ(test.drain(1000), 3u);
  EXPECT_FALSE(test.log->blocked().has_value());
  EXPECT_EQ(test.read_all(0), (texts{"before", "one", "two", "three"}));
  EXPECT_EQ(test.counters.get(counter::blocks_rewritten), 3u);
  EXPECT_EQ(test.counters.get(counter::segments_created), 2u);
  test.crash(256);
  EXPECT_EQ(test.read_all(0), (texts{"before", "one", "two", "three"}));
  EXPECT_TRUE(test.report.damaged.empty());
  EXPECT_TRUE(test.verify().empty());
}

TEST(log, a_disk_that_fails_for_long_keeps_the_log_blocked_and_leaks_no_files) {
  log_fixture test;
  test.write({{0, "before"}});
  test.plan.failing_writes = UINT64_MAX;
  test.submit({{0, "waits"}});
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(test.poll(100'000), 0u);
  EXPECT_TRUE(test.log->blocked().has_value());
  EXPECT_LE(test.names().size(), 4u);
  test.plan.failing_writes = 0;
  EXPECT_EQ(test.drain(1000), 1u);
  EXPECT_EQ(test.read_all(0), (texts{"before", "waits"}));
  test.kill();
  EXPECT_EQ(test.read_all(0), (texts{"before", "waits"}));
}

TEST(log, a_full_disk_blocks_and_service_returns_with_the_space) {
  log_fixture test;
  test.memory.set_capacity(300 * 1024);
  int written = 0;
  std::string text(20'000, 'x');
  while (test.log->can_append() && written < 100) {
    test.submit({{0, text}});
    for (int i = 0; i < 5; ++i)
      test.poll();
    ++written;
  }
  ASSERT_TRUE(test.log->blocked().has_value());
  EXPECT_EQ(test.log->blocked()->code(), error_code::storage_full);
  EXPECT_EQ(test.read_all(0).size(), static_cast<std::size_t>(written - 1));
  test.memory.set_capacity(10 << 20);
  EXPECT_EQ(test.drain(1000), 1u);
  EXPECT_FALSE(test.log->blocked().has_value());
  EXPECT_TRUE(test.log->can_append());
  test.kill();
  EXPECT_EQ(test.read_all(0).size(), static_cast<std::size_t>(written));
}

TEST(log, abandon_gives_every_unacked_batch_back) {
  log_fixture test;
  test.plan.failing_writes = UINT64_MAX;
  built_batch& one = test.submit({{0, "x"}});
  test.poll();
  std::vector<record_batch*> back;
  test.log->abandon(back);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0], &one.batch());
  EXPECT_EQ(one.batch().result, outcome::shutting_down);
  EXPECT_TRUE(test.log->idle());
}

TEST(log, an_unreadable_sector_is_an_error_and_the_rest_stays_readable) {
  log_options options;
  options.hot_tail_bytes = 0;
  options.segment_bytes = 256 * 1024;
  log_fixture test(options);
  test.write({{0, std::string(50'000, 'a')}, {1, "fine"}});
  test.write({{1, "fine too"}});
  test.plan.bad_suffix = ".segment";
  test.plan.bad_from = 10'000;
  test.plan.bad_to = 10'512;
  const auto failed = test.log->read(shard_index(0), record_index(0), 1000, 10);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.failure().code(), error_code::io);
  EXPECT_EQ(test.read_all(1), (texts{"fine", "fine too"}));
}

TEST(log, many_segments_are_read_from_any_index_and_by_time) {
  log_options options;
  options.segment_bytes = 64 * 1024;
  options.hot_tail_bytes = 32 * 1024;
  log_fixture test(options);
  texts all;
  std::vector<std::uint64_t> times;
  for (int i = 0; i < 120; ++i) {
    test.wall_us += 1'000'000;
    if (i == 60) test.wall_us -= 30'000'000;  // the clock jumps back
    test.write({{0, std::to_string(i) + std::string(5000, '.')}, {7, "seven"}});
    all.push_back(std::to_string(i) + std::string(5000, '.'));
    times.push_back(test.batches.back()->batch().arrival_us);
  }
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end())) << "arrival never goes backwards";
  for (int round = 0; round < 2; ++round) {
    EXPECT_GT(test.names().size(), 10u);
    EXPECT_EQ(test.read_all(0), all);
    for (const std::uint64_t from : {0u, 1u, 59u, 118u, 119u, 120u}) {
      EXPECT_EQ(test.read_all(0, from), texts(all.begin() + static_cast<long>(from), all.end()));
    }
    for (std::size_t i = 0; i < times.size(); i += 7) {
      const auto at = test.log->find_time(shard_index(0), times[i]);
      ASSERT_TRUE(at.ok());
      const auto first = std::lower_bound(times.begin(), times.end(), times[i]) - times.begin();
      EXPECT_EQ(at->value, static_cast<std::uint64_t>(first));
    }
    EXPECT_EQ(test.log->find_time(shard_index(0), times.back() + 1)->value, 120u);
    EXPECT_TRUE(test.verify().empty());
    test.reopen();
  }
}

TEST(log, retention_drops_whole_old_segments_and_moves_the_horizon) {
  log_options options;
  options.segment_bytes = 64 * 1024;
  log_fixture test(options);
  test.write({{4, "only at the start"}});
  std::uint64_t middle_us = 0;
  for (int i = 0; i < 60; ++i) {
    test.wall_us += 1'000'000;
    test.write({{0, std::to_string(i) + std::string(5000, '.')}});
    if (i == 30) middle_us = test.wall_us;
  }
  const std::uint64_t before = test.log->bytes();
  const auto held = test.log->read(shard_index(0), record_index(0), 6000, 1);
  ASSERT_TRUE(held.ok());
  const std::uint64_t freed = test.log->drop_segments(middle_us, 0);
  EXPECT_GT(freed, 0u);
  EXPECT_EQ(test.log->bytes(), before - freed);
  const std::uint64_t horizon = test.log->trim_horizon(shard_index(0)).value;
  EXPECT_GT(horizon, 10u);
  EXPECT_LE(horizon, 31u);
  EXPECT_EQ(held->records[0].record.data().size(), 5001u) << "a chunk outlives its segment";
  EXPECT_EQ(test.read_all(0).size(), 60 - horizon) << "a position below starts at the horizon";
  EXPECT_EQ(test.log->trim_horizon(shard_index(4)).value, 1u);
  test.log->drop_segments(0, 1);
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(test.read_all(0).empty()) << "never the open one";
    EXPECT_EQ(test.log->next_index(shard_index(0)).value, 60u);
    EXPECT_EQ(test.log->next_index(shard_index(4)).value, 1u) << "an idle shard goes on";
    test.crash(0);
  }
}

TEST(log, a_waiting_reader_is_woken) {
  log_fixture test;
  const std::uint64_t seen = test.log->wait_for_news(0, 0);
  std::uint64_t woken = seen;
  std::thread reader([&] { woken = test.log->wait_for_news(seen, 30'000'000); });
  test.write({{0, "news"}});
  reader.join();
  EXPECT_NE(woken, seen);
}

TEST(log, who_watches_is_told_of_each_block_and_no_more_when_it_stops) {
  log_fixture test;
  int first = 0;
  int second = 0;
  const auto watch = test.log->watch([&] { ++first; });
  auto other = test.log->watch([&] { ++second; });
  test.write({{0, "one"}});
  test.write({{1, "two"}});
  EXPECT_EQ(first, 2);
  EXPECT_EQ(second, 2);
  other.reset();
  test.write({{0, "three"}});
  EXPECT_EQ(first, 3);
  EXPECT_EQ(second, 2);
}

class log_on_disk : public testing::TestWithParam<flush_engine> {};

TEST_P(log_on_disk, writes_rolls_and_recovers_on_the_real_disk) {
  std::string pattern = std::filesystem::temp_directory_path() / "millrace.XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const auto files = make_posix_file_system(GetParam());
  counter_set counters;
  log_options options;
  options.segment_bytes = 4 * limits::mib;
  options.hot_tail_bytes = 0;
  std::uint64_t number = 0;
  for (int life = 0; life < 3; ++life) {
    recovery_report report;
    auto log = stream_log::open(*files, pattern + "/log", stream_id(1), options, counters, report);
    ASSERT_TRUE(log.ok()) << log.failure().message();
    EXPECT_TRUE(report.damaged.empty());
    EXPECT_EQ((*log)->next_index(shard_index(1)).value, number);
    std::vector<std::unique_ptr<built_batch>> batches;
    std::vector<record_batch*> done;
    for (int i = 0; i < 12; ++i) {
      auto one = std::make_unique<built_batch>();
      one->raw_entry();
      for (int j = 0; j < 50; ++j) {
        one->record(shard_index(1), "k", std::to_string(number++) + std::string(10'000, 'd'));
      }
      const std::uint64_t patience_us = monotonic_us() + 60'000'000;
      while (!(*log)->can_append() && !(*log)->blocked() && monotonic_us() < patience_us) {
        (*log)->poll(monotonic_us(), done);
        std::this_thread::yield();
      }
      ASSERT_FALSE((*log)->blocked().has_value()) << (*log)->blocked()->message();
      append_to(**log, *one, wall_us());
      batches.push_back(std::move(one));
    }
    while (!(*log)->idle()) {
      (*log)->poll(monotonic_us(), done);
      std::this_thread::yield();
    }
    record_index at{};
    while (at.value < number) {
      const auto chunk = (*log)->read(shard_index(1), at, 100'000, 1000);
      ASSERT_TRUE(chunk.ok()) << chunk.failure().message();
      ASSERT_FALSE(chunk->records.empty());
      for (const stored_record& one : chunk->records) {
        ASSERT_EQ(one.index, at);
        const std::string text = std::to_string(at.value);
        ASSERT_EQ(std::memcmp(one.record.data().data(), text.data(), text.size()), 0);
        at = at.next();
      }
    }
  }
  std::filesystem::remove_all(pattern);
}

INSTANTIATE_TEST_SUITE_P(engines, log_on_disk,
                         testing::Values(flush_engine::io_uring, flush_engine::threads),
                         [](const auto& which) {
                           return which.param == flush_engine::threads ? "threads" : "io_uring";
                         });

}  // namespace
}  // namespace millrace
