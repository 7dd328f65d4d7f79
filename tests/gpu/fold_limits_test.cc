// What a fold does at its limits, with hostile times and with damaged snapshots.
#include "base/crc32c.h"
#include "gpu/fold.h"
#include "gpu/window_math.h"
#include "tests/base/random_rounds.h"
#include "tests/gpu/fold_stream.h"

namespace millrace::testing {
namespace {

/// One view over a stream of one shard, fed by hand.
class Limits : public ::testing::Test {
 protected:
  void open(const view_plan& plan) {
    const status good = check(plan);
    ASSERT_TRUE(good.ok()) << good.failure().message();
    auto made = make_cpu_fold({plan});
    ASSERT_TRUE(made.ok());
    fold_ = *std::move(made);
    clocks_.assign(1, {});
  }
  /// Folds the records as one block and gives what it did.
  fold_counts fold(const std::vector<stream_record>& stream) {
    stream_cutter cutter(stream, {static_cast<std::uint32_t>(stream.size())}, arrival_us_);
    stream_cutter::block block;
    EXPECT_TRUE(cutter.next(block));
    std::vector<fold_job::view_part> parts(1);
    fold_block(*fold_, block, clocks_, parts);
    return parts[0].counts;
  }
  static stream_record at(std::int64_t time_us, std::int32_t group) {
    std::byte data[45] = {};
    store(data, time_us);
    store(data + 8, group);
    store(data + 12, std::int64_t{group});
    stream_record record;
    record.bytes.resize(record_stride(1, sizeof data, false));
    write_record(record.bytes.data(), "k", data, nullptr);
    return record;
  }
  std::vector<std::byte> snapshot() {
    std::vector<std::byte> bytes;
    EXPECT_TRUE(fold_->snapshot(0, bytes).ok());
    return bytes;
  }

  std::unique_ptr<window_fold> fold_;
  std::vector<view_clocks> clocks_;
  std::uint64_t arrival_us_ = 1'700'000'000'000'000;
};

TEST_F(Limits, groups_past_the_limit_are_left_out_and_counted_and_the_others_go_on) {
  view_plan plan = stream_plan();
  plan.groups_max = 10;
  open(plan);
  std::vector<stream_record> stream;
  for (int turn = 0; turn < 2; ++turn) {
    for (std::int32_t group = 0; group < 25; ++group)
      stream.push_back(at(1'000'000, group));
  }
  const fold_counts counts = fold(stream);
  EXPECT_EQ(counts.folded, 20u);
  EXPECT_EQ(counts.left_out, 30u);
  EXPECT_EQ(fold_->size(0).groups, 10u);
}

TEST_F(Limits, times_far_apart_make_no_more_windows_than_the_limit) {
  view_plan plan = stream_plan();
  plan.windows_max = 16;
  plan.delay_us = window_us_max;
  open(plan);
  std::vector<stream_record> stream;
  for (int i = 0; i < 1000; ++i)
    stream.push_back(at(i * 100'000, 1));
  const fold_counts counts = fold(stream);
  EXPECT_EQ(counts.folded, 16u);
  EXPECT_EQ(counts.left_out, 984u);
  EXPECT_EQ(fold_->size(0).windows, 16u);
}

TEST_F(Limits, state_stays_within_its_bytes) {
  for (const window_kind kind : {window_kind::tumbling, window_kind::session}) {
    view_plan plan = stream_plan();
    add_sketches(plan);
    plan.window.kind = kind;
    plan.state_bytes_max = 256 * 1024;
    open(plan);
    std::vector<stream_record> stream;
    for (std::int32_t i = 0; i < 20'000; ++i)
      stream.push_back(at(1'000'000, i % 3000));
    const fold_counts counts = fold(stream);
    EXPECT_GT(counts.folded, 0u);
    EXPECT_GT(counts.left_out, 0u);
    EXPECT_EQ(counts.folded + counts.left_out, 20'000u);
    // Sessions' endings are counted, not refused.
    EXPECT_LE(fold_->size(0).bytes, plan.state_bytes_max + (64 << 10));
    window_rows rows;
    ASSERT_TRUE(fold_->close(0, event_time_max_us, rows).ok());
    std::uint64_t records = 0;
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      records += rows.values[i * plan.aggregates.size()].bits;
    }
    EXPECT_EQ(records, counts.folded);
  }
}

TEST_F(Limits, times_that_no_calendar_has_are_no_times) {
  for (const window_kind kind : {window_kind::tumbling, window_kind::session}) {
    view_plan plan = stream_plan();
    plan.window.kind = kind;
    open(plan);
    constexpr std::int64_t last_day_of_9999_us = 253'402'214'400'000'000;
    const fold_counts counts =
        fold({at(INT64_MAX, 1), at(INT64_MIN, 1), at(last_day_of_9999_us, 1), at(0, 1)});
    EXPECT_EQ(counts.no_time, 2u);
    EXPECT_EQ(counts.folded, 2u);
    window_rows rows;
    ASSERT_TRUE(fold_->close(0, INT64_MIN, rows).ok());
    EXPECT_EQ(rows.rows.size(), 0u);
    ASSERT_TRUE(fold_->close(0, INT64_MAX, rows).ok());
    EXPECT_EQ(rows.rows.size(), 2u);
  }
}

/// Reads all that is open, and then parts of it, which have to be those of all.
void expect_parts_of_open(window_fold& fold) {
  window_rows all;
  ASSERT_TRUE(fold.read_open(0, {}, all).ok());
  ASSERT_GT(all.rows.size(), 100u);
  using row = window_rows::row;
  const auto same = [&](const window_rows& in, const row& a, const row& b) {
    return a.start_us == b.start_us && a.end_us == b.end_us &&
           std::ranges::equal(in.key(a), all.key(b));
  };
  const std::int64_t middle_us = all.rows[all.rows.size() / 2].end_us;
  const open_range ranges[] = {
      {.rows_max = 0},
      {.rows_max = 1},
      {.rows_max = 25},
      {.from_us = middle_us},
      {.to_us = middle_us},
      {.to_us = middle_us, .rows_max = 25},
      {.from_us = middle_us - 300'000, .to_us = middle_us, .rows_max = 7},
      {.from_us = all.rows.back().end_us},
      {.to_us = all.rows.front().start_us},
  };
  for (const open_range& range : ranges) {
    window_rows some;
    ASSERT_TRUE(fold.read_open(0, range, some).ok());
    std::vector<row> wanted;
    std::ranges::copy_if(all.rows, std::back_inserter(wanted),
                         [&](const row& one) { return range.has(one.start_us, one.end_us); });
    ASSERT_EQ(some.rows.size(), std::min<std::size_t>(wanted.size(), range.rows_max));
    // Whole windows from the newest on; of the last of these its first rows.
    std::size_t from = wanted.size() - some.rows.size();
    std::size_t of_oldest = 0;
    if (!some.rows.empty()) {
      const std::int64_t oldest = some.rows.front().end_us;
      const auto is_oldest = [&](const row& one) { return one.end_us == oldest; };
      of_oldest = static_cast<std::size_t>(std::ranges::count_if(some.rows, is_oldest));
      const auto first = std::ranges::find_if(wanted, is_oldest);
      const auto its_first = static_cast<std::size_t>(first - wanted.begin());
      for (std::size_t i = 0; i < of_oldest; ++i)
        EXPECT_TRUE(same(some, some.rows[i], wanted[its_first + i])) << i;
    }
    for (std::size_t i = of_oldest; i < some.rows.size(); ++i)
      EXPECT_TRUE(same(some, some.rows[i], wanted[from + i])) << i;
    const std::size_t per_row = all.values.size() / all.rows.size();
    EXPECT_EQ(some.values.size(), some.rows.size() * per_row);
  }
}

/// Windows that stay open whatever comes.
view_plan open_plan(const window_plan& window) {
  view_plan plan = stream_plan();
  plan.window = window;
  plan.delay_us = 1'000'000'000;
  return plan;
}
constexpr window_plan hopping{.kind = window_kind::hopping, .size_us = 300'000, .hop_us = 100'000};

TEST_F(Limits, open_windows_are_read_in_a_range_and_no_further_than_asked) {
  open(open_plan(hopping));
  fold(make_stream({.records = 2000}));
  expect_parts_of_open(*fold_);
}

TEST_F(Limits, open_windows_with_gaps_between_them_are_read_in_a_range) {
  open(open_plan(hopping));
  for (const std::int64_t later_us : {0, 7'000'000, 7'200'000, 90'000'000})
    fold(make_stream({.records = 300, .first_us = stream_options{}.first_us + later_us}));
  expect_parts_of_open(*fold_);
}

TEST_F(Limits, open_sessions_are_read_in_a_range_and_no_further_than_asked) {
  open(open_plan({.kind = window_kind::session, .size_us = 1'000}));
  fold(make_stream({.records = 2000}));
  expect_parts_of_open(*fold_);
}

TEST_F(Limits, the_top_rows_of_each_window_are_kept) {
  view_plan plan = stream_plan();
  plan.top = top_plan{.aggregate = 2, .count = 3};
  expect_as_oracle(make_cpu_fold, {plan}, {.records = 5000, .groups = 50}, {.read_open_every = 7});
}

TEST_F(Limits, a_damaged_snapshot_is_an_error_wherever_the_damage_is) {
  view_plan plan = stream_plan({text_f});
  add_sketches(plan);
  open(plan);
  fold(make_stream({.records = 300, .groups = 3}));
  const std::vector<std::byte> good = snapshot();
  std::mt19937_64 random(1);
  for (int turn = 0; turn < random_rounds(2000); ++turn) {
    std::vector<std::byte> bytes = good;
    if (turn % 2 == 0) bytes.resize(random() % bytes.size());
    if (!bytes.empty())
      bytes[random() % bytes.size()] ^= static_cast<std::byte>(1 + random() % 255);
    open(plan);
    const status restored = fold_->restore(0, bytes);
    ASSERT_FALSE(restored.ok());
    EXPECT_EQ(restored.failure().code(), error_code::corrupt);
    EXPECT_EQ(fold_->size(0).groups, 0u);
  }
}

TEST_F(Limits, a_hostile_snapshot_with_a_right_checksum_never_crashes) {
  for (const window_kind kind : {window_kind::hopping, window_kind::session}) {
    view_plan plan = stream_plan({text_f, group_f});
    add_sketches(plan);
    plan.window = {.kind = kind, .size_us = 100'000, .hop_us = 50'000};
    open(plan);
    fold(make_stream({.records = 300, .groups = 3}));
    const std::vector<std::byte> good = snapshot();
    std::mt19937_64 random(2);
    int accepted = 0;
    for (int turn = 0; turn < random_rounds(3000); ++turn) {
      std::vector<std::byte> bytes = good;
      for (std::uint64_t i = random() % 3 + 1; i > 0; --i) {
        bytes[random() % (bytes.size() - 4)] = static_cast<std::byte>(random());
      }
      store(bytes.data() + bytes.size() - 4, crc32c(byte_view(bytes).first(bytes.size() - 4)));
      open(plan);
      if (!fold_->restore(0, bytes).ok()) continue;
      ++accepted;
      fold(make_stream({.seed = 3, .records = 50, .groups = 3}));
      window_rows rows;
      ASSERT_TRUE(fold_->read_open(0, {.rows_max = 100}, rows).ok());
      ASSERT_TRUE(fold_->close(0, INT64_MAX, rows).ok());
    }
    EXPECT_GT(accepted, 0);
  }
}

TEST_F(Limits, a_snapshot_of_another_plan_is_refused) {
  view_plan plan = stream_plan();
  open(plan);
  fold(make_stream({.records = 100}));
  const std::vector<std::byte> bytes = snapshot();
  plan.delay_us += 1;
  open(plan);
  const status restored = fold_->restore(0, bytes);
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.failure().code(), error_code::invalid_argument);
}

}  // namespace
}  // namespace millrace::testing
