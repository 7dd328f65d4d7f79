#include <random>
#include <set>

#include "tests/analytics/view_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

TEST(view_lane, a_window_goes_out_once_when_every_shard_has_passed_its_end) {
  view_fixture test;
  test.write({{0, 1, "a"}, {1, 2, "a"}, {0, 3, "b"}});
  test.run();
  EXPECT_TRUE(test.emitted().empty());
  test.write({{0, 11, "a"}});
  test.run();
  EXPECT_TRUE(test.emitted().empty()) << "shard 1 is at 2";
  test.write({{1, 12, "a"}});
  test.run();
  EXPECT_EQ(test.emitted(), (texts{"#0 to 10", "0..10 a 2 2", "0..10 b 1 1"}));
  const view_status status = test.status_now();
  EXPECT_EQ(status.watermark_us, 10 * second_us);
  EXPECT_EQ(status.next_ordinal, 1u);
  EXPECT_EQ(status.closed_rows, 2u);
  EXPECT_EQ(status.counts.folded, 5u);
  EXPECT_EQ(status.behind_us, 0u);
  EXPECT_EQ(status.behind_bytes, 0u);
  EXPECT_EQ(status.fault, "");
}

TEST(view_lane, late_records_are_kept_beside_the_windows) {
  view_fixture test;
  test.write({{0, 100, "a"}, {1, 100, "a"}});
  test.write({{0, 98, "late"}, {0, 99, "intime"}});
  test.run();
  const auto late = test.keeper->store().read_late(10);
  ASSERT_TRUE(late.ok());
  ASSERT_EQ(late->size(), 1u);
  EXPECT_EQ((*late)[0].time_us, 98 * second_us);
  EXPECT_EQ((*late)[0].watermark_us, 99 * second_us);
  EXPECT_EQ((*late)[0].number.value, 1u);
  test.crash();
  test.run();
  EXPECT_EQ(test.keeper->store().read_late(10)->size(), 1u) << "computed again, kept once";
}

/// A day of a stream, with silences that only the clock of the wall ends.
void drive(view_fixture& test, std::uint64_t seed, bool with_crashes) {
  std::mt19937_64 random(seed);
  std::mt19937_64 fate(seed + 1);
  std::int64_t second = 0;
  for (int step = 0; step < 120; ++step) {
    second += static_cast<std::int64_t>(random() % 4);
    test.log.wall_us += 1'000'000;
    std::vector<view_fixture::event> events;
    const std::uint32_t quiet = step % 40 < 20 ? 2 : static_cast<std::uint32_t>(random() % 2);
    for (std::uint64_t i = random() % 5 + 1; i > 0; --i) {
      const auto shard = static_cast<std::uint32_t>(random() % 2);
      if (shard == quiet) continue;
      events.push_back({shard, second + 2 - static_cast<std::int64_t>(random() % 5),
                        std::string(1, static_cast<char>('a' + random() % 3))});
    }
    if (!events.empty()) test.write(events);
    if (step % 30 == 29) test.log.wall_us += 25'000'000;  // nothing comes for long
    test.run();
    if (step % 30 == 29) {
      test.log.wall_us += 3'000'000;
      test.run();
    }
    if (!with_crashes) continue;
    switch (fate() % 12) {
      case 0:
        test.crash();
        test.run(static_cast<int>(fate() % 5));
        test.crash();
        break;
      case 1:
        test.stop();
        test.crash();
        break;
      case 2:
        test.crash(true);
        break;
      default:
        break;
    }
    test.run();
  }
}

TEST(view_lane, results_are_the_same_whenever_it_was_killed) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    view_fixture whole;
    whole.policy.interval_us = 500'000;
    drive(whole, seed, false);
    view_fixture killed;
    killed.policy.interval_us = seed % 2 == 0 ? 500'000 : 5'000'000;
    killed.crash();
    drive(killed, seed, true);
    EXPECT_GT(whole.emitted().size(), 30u);
    // What the wall's clock decided is written down, but a restart gives shards time to speak, so
    // only what follows from it is compared: every window's rows, each once.
    const auto rows_of = [](view_fixture& test) {
      texts rows;
      for (const std::string& one : test.emitted()) {
        if (one[0] != '#') rows.push_back(one);
      }
      return rows;
    };
    EXPECT_EQ(whole.keeper->tallies().differences, 0u);
    EXPECT_EQ(killed.keeper->tallies().differences, 0u) << seed;
    const texts seen = rows_of(killed);
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size());
    // Replayed from its stores, the killed one computes exactly what it wrote.
    const texts before = killed.emitted();
    killed.crash();
    killed.run();
    EXPECT_EQ(killed.emitted(), before);
    EXPECT_EQ(killed.keeper->tallies().differences, 0u);
  }
}

TEST(view_lane, without_decisions_of_the_wall_a_killed_view_writes_the_very_same_emissions) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const auto drive_data = [seed](view_fixture& test, bool with_crashes) {
      std::mt19937_64 random(seed);
      std::mt19937_64 fate(seed + 1);
      for (int step = 0; step < 150; ++step) {
        test.log.wall_us += 1'000'000;
        std::vector<view_fixture::event> events;
        for (std::uint64_t i = random() % 5 + 1; i > 0; --i) {
          events.push_back({static_cast<std::uint32_t>(random() % 2),
                            step + 2 - static_cast<std::int64_t>(random() % 6),
                            std::string(1, static_cast<char>('a' + random() % 3))});
        }
        test.write(events);
        if (fate() % 3 != 0) test.run(static_cast<int>(fate() % 4));
        if (!with_crashes || fate() % 10 != 0) continue;
        if (fate() % 3 == 0) test.stop();
        test.crash(fate() % 3 == 0);
      }
      test.run();
    };
    view_fixture whole;
    drive_data(whole, false);
    view_fixture killed;
    killed.policy.interval_us = 100'000;
    killed.crash();
    drive_data(killed, true);
    EXPECT_GT(whole.emitted().size(), 30u);
    EXPECT_EQ(killed.emitted(), whole.emitted()) << seed;
    const auto late = [](view_fixture& test) {
      std::vector<std::pair<std::uint32_t, std::uint64_t>> all;
      const auto found = test.keeper->store().read_late(100'000);
      for (const late_record& one : *found)
        all.emplace_back(one.shard.value, one.number.value);
      return all;
    };
    EXPECT_GT(late(whole).size(), 5u);
    EXPECT_EQ(late(killed), late(whole));
    EXPECT_EQ(killed.status_now().counts.late, whole.status_now().counts.late);
    EXPECT_EQ(killed.status_now().closed_rows, whole.status_now().closed_rows);
  }
}

TEST(view_lane, when_all_shards_are_silent_the_last_windows_go_out_by_the_walls_clock) {
  view_fixture test;
  test.run();
  test.write({{0, 1, "a"}, {1, 2, "a"}});
  test.run();
  test.log.wall_us += 9'000'000;
  test.run();
  EXPECT_TRUE(test.emitted().empty());
  test.log.wall_us += 2'000'000;
  test.run();
  test.run();
  EXPECT_EQ(test.emitted(), (texts{"#0 to 12", "0..10 a 2 2"}));

  // A replay takes the decision from the journal, where it was taken, and the record that came
  // after it is as late as it was.
  test.write({{0, 5, "late"}});
  test.run();
  EXPECT_EQ(test.status_now().counts.late, 1u);
  test.crash();
  EXPECT_TRUE(test.keeper->is_replaying());
  test.run();
  EXPECT_FALSE(test.keeper->is_replaying());
  EXPECT_EQ(test.emitted().size(), 2u);
  EXPECT_EQ(test.keeper->tallies().differences, 0u);
  EXPECT_EQ(test.status_now().counts.late, 1u);
}

TEST(view_lane, results_are_the_same_when_stores_are_written_in_the_background) {
  view_fixture whole;
  whole.policy.interval_us = 500'000;
  drive(whole, 3, false);
  view_fixture other;
  other.policy.interval_us = 500'000;
  other.crash();
  other.lane->write_in_background();
  drive(other, 3, false);
  other.stop();
  EXPECT_GT(whole.emitted().size(), 30u);
  EXPECT_EQ(other.emitted(), whole.emitted());
  const log_position stopped_at = other.lane->at();
  other.crash();
  EXPECT_EQ(other.keeper->at(), stopped_at) << "the checkpoint of the stop is all there is";
}

TEST(view_lane, what_a_background_write_could_not_store_is_written_later) {
  view_fixture test;
  test.lane->write_in_background();
  test.write({{0, 1, "a"}, {1, 1, "a"}, {0, 100, "a"}, {1, 100, "a"}});
  test.faults.store_fails = true;
  test.run();
  if (!test.lane->is_stalled()) {
    EXPECT_FALSE(test.keeper->end_write(true).ok());
  }
  EXPECT_TRUE(test.emitted().empty());
  test.write({{0, 200, "b"}, {1, 200, "b"}});
  test.faults.store_fails = false;
  test.monotonic_us += 1'000'000;
  test.run();
  test.stop();
  view_fixture whole;
  whole.write({{0, 1, "a"}, {1, 1, "a"}, {0, 100, "a"}, {1, 100, "a"}});
  whole.run();
  whole.write({{0, 200, "b"}, {1, 200, "b"}});
  whole.run();
  EXPECT_EQ(test.emitted(), whole.emitted());
  EXPECT_FALSE(test.emitted().empty());
}

TEST(view_lane, a_checkpoint_clears_the_journal_and_is_all_that_a_restart_needs) {
  view_fixture test;
  test.run();
  test.write({{0, 1, "a"}, {1, 2, "a"}});
  test.run();
  test.log.wall_us += 11'000'000;
  test.run();
  test.run();
  test.stop();
  test.crash();
  EXPECT_FALSE(test.keeper->is_replaying());
  test.write({{0, 100, "b"}, {1, 100, "b"}});
  test.run();
  EXPECT_EQ(test.emitted(), (texts{"#0 to 12", "0..10 a 2 2"}));
  EXPECT_EQ(test.status_now().counts.folded, 4u);
}

TEST(view_lane, at_a_stop_a_view_that_is_replaying_keeps_its_neighbour_from_no_checkpoint) {
  view_fixture test;
  const std::string directory = test.directory.path();
  std::unique_ptr<view_keeper> patient;  // decides nothing by the wall's clock
  const auto crash = [&] {
    test.crash();
    test.lane = nullptr;
    patient = nullptr;
    view_plan plan = counting_plan("patient");
    plan.idle_us = 3600 * second_us;
    auto store = view_store::open(directory + "/patient.view");
    ASSERT_TRUE(store.ok());
    patient = std::make_unique<view_keeper>(plan, *std::move(store), UINT64_MAX);
    ASSERT_TRUE(patient->adopt(7).ok());
    ASSERT_TRUE(patient->restore().ok());
    auto fold = make_cpu_fold({test.plan, plan});
    ASSERT_TRUE(fold.ok());
    test.lane = std::make_unique<view_lane>(
        std::shared_ptr<const stream_log>(std::shared_ptr<void>(), test.log.log.get()),
        std::vector<view_keeper*>{test.keeper.get(), patient.get()}, *std::move(fold), test.policy);
  };
  crash();
  for (int second = 1; second < 4; ++second)
    test.write({{0, second, "a"}, {1, second, "a"}});
  test.run();
  test.log.wall_us += 11'000'000;
  test.run();
  test.run();
  crash();
  test.run(2);
  ASSERT_TRUE(test.keeper->is_replaying());
  ASSERT_FALSE(patient->is_replaying());
  const log_position stopped_at = test.lane->at();
  test.stop();
  crash();
  EXPECT_EQ(patient->at(), stopped_at);
  EXPECT_GT(stopped_at.offset, 0u);
  EXPECT_EQ(test.keeper->at().offset, 0u) << "its journal goes with the checkpoint that it has";
  EXPECT_TRUE(test.keeper->is_replaying());
}

TEST(view_lane, a_store_that_cannot_be_written_stops_the_view_and_nothing_is_lost) {
  view_fixture test;
  test.write({{0, 1, "a"}, {1, 2, "a"}});
  test.run();
  test.faults.store_fails = true;
  test.write({{0, 12, "a"}, {1, 12, "a"}});
  test.run();
  const log_position stuck = test.lane->at();
  EXPECT_TRUE(test.lane->is_stalled());
  EXPECT_EQ(test.status_now().fault, "database or disk is full");
  EXPECT_TRUE(test.emitted().empty());
  test.write({{0, 22, "a"}, {1, 22, "a"}});
  for (int i = 0; i < 20; ++i)
    test.run();
  EXPECT_EQ(test.lane->at(), stuck) << "it does not run ahead of what it can write";
  EXPECT_GT(test.status_now().behind_bytes, 0u);
  EXPECT_GT(test.keeper->tallies().store_errors, 1u);
  test.faults.store_fails = false;
  for (int i = 0; i < 20; ++i)
    test.run();
  EXPECT_EQ(test.emitted(), (texts{"#0 to 11", "0..10 a 2 2", "#1 to 21", "10..20 a 2 2"}));
  EXPECT_EQ(test.status_now().fault, "");
}

TEST(view_lane, a_fold_that_is_lost_is_replaced_and_the_results_are_the_same) {
  view_fixture test;
  test.policy.interval_us = 0;  // often
  test.crash();
  for (int second = 0; second < 60; second += 3)
    test.write({{0, second, "a"}, {1, second, "b"}});
  test.faults.polls_until_loss = 9;
  test.run();
  ASSERT_EQ(test.lane->now(), view_lane::state::fold_lost);
  EXPECT_EQ(test.lane->why(), "the device fell off the bus");
  test.faults.polls_until_loss = UINT64_MAX;
  test.restore();
  EXPECT_GT(test.keeper->at().offset, 0u) << "not from the start";
  test.run();
  view_fixture whole;
  for (int second = 0; second < 60; second += 3)
    whole.write({{0, second, "a"}, {1, second, "b"}});
  whole.run();
  EXPECT_EQ(test.emitted(), whole.emitted());
  EXPECT_EQ(test.keeper->tallies().differences, 0u);
}

TEST(view_lane, records_that_retention_took_are_counted_and_the_rest_goes_on) {
  view_fixture test(counting_plan(), {.segment_bytes = 64 * 1024, .hot_tail_bytes = 0});
  test.write({{0, 1, "a"}, {1, 1, "a"}});
  test.run();
  const std::string key(3000, 'x');
  for (int second = 2; second < 60; ++second)
    test.write({{0, second, key}, {1, second, "b"}});
  ASSERT_GT(test.log.log->drop_segments(0, 100'000), 0u);
  const std::uint64_t gone = test.log.log->trim_horizon(shard_index(0)).value +
                             test.log.log->trim_horizon(shard_index(1)).value;
  test.run();
  EXPECT_EQ(test.status_now().missing, gone - 2);
  EXPECT_EQ(test.status_now().watermark_us, 58 * second_us);
}

TEST(view_lane, a_changed_plan_is_computed_anew_and_says_what_was_dropped) {
  view_fixture test;
  test.write({{0, 1, "a"}, {1, 2, "a"}});
  test.write({{0, 12, "b"}, {1, 12, "b"}});
  test.run();
  test.stop();
  EXPECT_EQ(test.emitted().size(), 2u);
  test.plan.window = {window_kind::tumbling, 5 * second_us, 5 * second_us, 0};
  test.crash();
  EXPECT_NE(test.status_now().fault.find("its plan has changed: window = "), std::string::npos)
      << test.status_now().fault;
  EXPECT_NE(test.status_now().fault.find("the rows of 1 emissions were dropped"),
            std::string::npos);
  test.run();
  EXPECT_EQ(test.emitted(), (texts{"#1 to 11", "0..5 a 2 2"}))
      << "ordinals go on, so that who waits for the next one misses nothing";
  test.stop();
  test.crash();
  EXPECT_EQ(test.status_now().fault, "");
}

TEST(view_lane, a_plan_whose_bounds_alone_change_goes_on) {
  view_fixture test;
  test.write({{0, 1, "a"}, {1, 2, "a"}});
  test.run();
  test.stop();
  test.plan.groups_max = 10;
  test.plan.as_metrics = true;
  test.crash();
  EXPECT_EQ(test.status_now().fault, "");
  EXPECT_EQ(test.status_now().counts.folded, 2u);
}

TEST(view_lane, a_place_that_the_log_does_not_have_is_noticed) {
  view_fixture test;
  test.write({{0, 1, "a"}, {1, 2, "a"}});
  test.run();
  test.stop();
  test.lane = nullptr;
  log_fixture other;  // as after a backup was put back
  std::swap(test.log.log, other.log);
  test.restore();
  test.run();
  EXPECT_EQ(test.lane->now(), view_lane::state::log_lost);
  std::swap(test.log.log, other.log);
}

TEST(view_lane, old_rows_make_room_for_new_ones) {
  view_fixture test;
  test.rows_kept_bytes = 2'000;
  test.crash();
  for (int second = 0; second < 400; second += 2)
    test.write({{0, second, "a"}, {1, second, "b"}});
  test.run();
  const auto kept = test.keeper->store().read_emissions(0, UINT64_MAX);
  ASSERT_TRUE(kept.ok());
  EXPECT_GT(kept->front().ordinal, 10u);
  EXPECT_EQ(kept->back().ordinal, 38u);
  EXPECT_GT(test.keeper->tallies().rows_bytes_dropped, 0u);
  EXPECT_EQ(test.status_now().closed_rows, 78u);
}

}  // namespace
}  // namespace millrace
