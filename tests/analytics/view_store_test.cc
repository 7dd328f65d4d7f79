#include "analytics/view_store.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "analytics/rows_codec.h"
#include "base/limits.h"
#include "tests/shards/temporary_directory.h"
#include "tests/shards/watched_disk.h"

namespace millrace {
namespace {

/// Windows of one second from `first` on, `keys` rows each, with two values.
std::shared_ptr<window_rows> rows_of(std::int64_t first, std::int64_t windows, int keys) {
  auto rows = std::make_shared<window_rows>();
  for (std::int64_t start = first; start < first + windows; ++start) {
    for (int key = 0; key < keys; ++key) {
      const std::string text = "key" + std::to_string(10'000'000 + key);
      rows->rows.push_back({start, start + 1, static_cast<std::uint32_t>(rows->keys.size()),
                            static_cast<std::uint32_t>(text.size())});
      for (const char c : text)
        rows->keys.push_back(static_cast<std::byte>(c));
      rows->values.push_back({static_cast<std::uint64_t>(key), false});
      rows->values.push_back({0, true});
    }
  }
  return rows;
}

void expect_equal(const window_rows& found, const window_rows& wanted) {
  ASSERT_EQ(found.rows.size(), wanted.rows.size());
  ASSERT_EQ(found.values.size(), wanted.values.size());
  EXPECT_EQ(rows_digest(found), rows_digest(wanted));
  for (std::size_t i = 0; i < found.values.size(); ++i) {
    ASSERT_EQ(found.values[i].bits, wanted.values[i].bits);
    ASSERT_EQ(found.values[i].is_null, wanted.values[i].is_null);
  }
}

struct store_fixture {
  store_fixture() { open(); }
  void open() {
    store = nullptr;
    auto opened = view_store::open(path());
    ASSERT_TRUE(opened.ok()) << opened.failure().message();
    store = *std::move(opened);
  }
  std::string path() const { return directory.path() + "/v.view"; }
  status write(const store_write& batch) {
    auto written = store->write(batch);
    if (!written.ok()) return std::move(written).failure();
    return {};
  }
  temporary_directory directory;
  std::unique_ptr<view_store> store;
};

TEST(view_store, rows_come_back_as_they_went_in_also_very_many_of_them) {
  store_fixture test;
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  const auto few = rows_of(0, 2, 3);
  const auto many = rows_of(2, 4, 50'000);
  store_write batch;
  batch.emissions = {{0, 2, few}, {1, 6, many}};
  ASSERT_TRUE(test.write(batch).ok());
  test.open();
  EXPECT_EQ(test.store->next_ordinal(), 2u);
  const auto found = test.store->read_emissions(0, UINT64_MAX);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2u);
  expect_equal(*(*found)[0].windows, *few);
  expect_equal(*(*found)[1].windows, *many);
  EXPECT_EQ(test.store->read_emissions(0, 1)->size(), 1u) << "at least one, and no more than fits";
  EXPECT_EQ(test.store->read_emissions(1, 1)->front().ordinal, 1u);
}

TEST(view_store, what_is_written_has_reached_the_disk_when_the_call_returns) {
  store_fixture test;
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  const std::string log = std::filesystem::canonical(test.path()).string() + "-wal";
  const auto is_sync = [&](const watched_disk::call& one) {
    return one.what == watched_disk::call::kind::sync && one.path == log;
  };
  for (std::uint64_t i = 0; i < 3; ++i) {
    watched_disk::take();
    store_write batch;
    batch.emissions.push_back({i, 1, rows_of(static_cast<std::int64_t>(i), 1, 1)});
    ASSERT_TRUE(test.write(batch).ok());
    EXPECT_EQ(std::ranges::count_if(watched_disk::take(), is_sync), 1);
  }
}

TEST(view_store, the_newest_rows_of_a_range_are_read) {
  store_fixture test;
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  store_write batch;
  for (std::uint64_t i = 0; i < 50; ++i)
    batch.emissions.push_back({i, 0, rows_of(static_cast<std::int64_t>(2 * i), 2, 3)});
  ASSERT_TRUE(test.write(batch).ok());
  const auto found =
      test.store->read_closed({.open = false, .from_us = 40, .to_us = 60, .rows_max = 4});
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->rows.size(), 4u);
  EXPECT_EQ(found->rows[0].start_us, 59);
  EXPECT_EQ(found->rows[2].start_us, 59);
  EXPECT_EQ(found->values[0].bits, 0u) << "in the order of keys within a window";
  EXPECT_EQ(found->rows[3].start_us, 58);
  const auto all = test.store->read_closed({.open = false, .from_us = 40, .to_us = 60});
  EXPECT_EQ(all->rows.size(), 60u);
  EXPECT_EQ(all->rows.back().start_us, 40);
}

TEST(view_store, what_was_stored_is_not_stored_again) {
  store_fixture test;
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  store_write batch;
  batch.emissions = {{0, 1, rows_of(0, 1, 1)}};
  batch.late = {{5, 9, shard_index(1), record_index(3)}, {6, 9, shard_index(1), record_index(4)}};
  ASSERT_TRUE(test.write(batch).ok());
  batch.emissions = {{0, 1, rows_of(0, 1, 2)}, {1, 2, rows_of(1, 1, 1)}};
  batch.late.push_back({7, 9, shard_index(1), record_index(5)});
  ASSERT_TRUE(test.write(batch).ok());
  EXPECT_EQ(test.store->read_emissions(0, UINT64_MAX)->front().windows->rows.size(), 1u);
  EXPECT_EQ(test.store->next_ordinal(), 2u);
  const auto late = test.store->read_late(10);
  ASSERT_EQ(late->size(), 3u);
  EXPECT_EQ((*late)[0].number.value, 5u) << "the newest first";
  EXPECT_EQ(test.store->read_late(1)->size(), 1u);
}

TEST(view_store, late_records_are_bounded_and_the_newest_stay) {
  store_fixture test;
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  store_write batch;
  for (std::uint64_t i = 0; i < limits::late_records_kept + 10; ++i)
    batch.late.push_back({0, 0, shard_index(0), record_index(i)});
  ASSERT_TRUE(test.write(batch).ok());
  const auto late = test.store->read_late(UINT32_MAX);
  ASSERT_EQ(late->size(), limits::late_records_kept);
  EXPECT_EQ(late->back().number.value, 10u);
}

TEST(view_store, a_checkpoint_is_whole_and_clears_the_journal) {
  store_fixture test;
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  store_write decided;
  decided.journal = {{{segment_number(1), 4096}, {{clock_decision::kind::idle, shard_index(3)}}}};
  ASSERT_TRUE(test.write(decided).ok());
  test.open();
  ASSERT_EQ(test.store->journal()->size(), 1u);
  EXPECT_EQ(test.store->journal()->front().at, (log_position{segment_number(1), 4096}));
  EXPECT_EQ(test.store->journal()->front().decisions, decided.journal[0].decisions);

  view_checkpoint checkpoint;
  checkpoint.progress.at = {segment_number(2), 8192};
  checkpoint.progress.counts.folded = 42;
  checkpoint.progress.clock.watermark_us = -5;
  checkpoint.progress.clock.shards = {
      {shard_index(3), view_clock::phase::idle, record_index(9), {1, 2}, 3}};
  checkpoint.fold.resize(9 * limits::mib);
  for (std::size_t i = 0; i < checkpoint.fold.size(); ++i)
    checkpoint.fold[i] = static_cast<std::byte>(i * 7 >> 3);
  store_write batch;
  batch.checkpoint = &checkpoint;
  ASSERT_TRUE(test.write(batch).ok());
  test.open();
  EXPECT_TRUE(test.store->journal()->empty());
  const auto found = test.store->load();
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->progress.at, checkpoint.progress.at);
  EXPECT_EQ(found->progress.counts.folded, 42u);
  EXPECT_EQ(found->progress.clock.watermark_us, -5);
  ASSERT_EQ(found->progress.clock.shards.size(), 1u);
  EXPECT_EQ(found->progress.clock.shards[0].next.value, 9u);
  EXPECT_EQ(found->fold, checkpoint.fold);
}

TEST(view_store, another_plan_drops_everything_but_the_next_ordinal) {
  store_fixture test;
  EXPECT_FALSE(test.store->identity()->has_value());
  ASSERT_TRUE(test.store->reset({7, "plan"}).ok());
  store_write batch;
  batch.emissions = {{0, 1, rows_of(0, 1, 1)}};
  batch.late = {{5, 9, shard_index(1), record_index(3)}};
  ASSERT_TRUE(test.write(batch).ok());
  ASSERT_TRUE(test.store->reset({8, "other"}).ok());
  test.open();
  EXPECT_EQ(**test.store->identity(), (view_identity{8, "other"}));
  EXPECT_EQ(test.store->next_ordinal(), 1u);
  EXPECT_TRUE(test.store->read_emissions(0, UINT64_MAX)->empty());
  EXPECT_TRUE(test.store->read_late(10)->empty());
}

TEST(view_store, a_file_that_is_none_is_refused) {
  temporary_directory directory;
  const std::string path = directory.path() + "/x.view";
  std::ofstream(path) << std::string(8192, 'x');
  const auto opened = view_store::open(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.failure().code(), error_code::corrupt);
  EXPECT_NE(opened.failure().message().find(path), std::string::npos);
}

TEST(rows_codec, bytes_that_are_no_chunk_are_refused) {
  const auto rows = rows_of(0, 2, 3);
  std::vector<std::byte> chunk;
  encode_rows(*rows, 0, rows->rows.size(), 2, chunk);
  ASSERT_TRUE(rows_chunk::parse(chunk).ok());
  for (std::size_t size = 0; size < chunk.size(); ++size)
    EXPECT_FALSE(rows_chunk::parse(byte_view(chunk).first(size)).ok());
  chunk[16 + 16] = std::byte{0xff};  // the first row's key
  EXPECT_FALSE(rows_chunk::parse(chunk).ok());
}

}  // namespace
}  // namespace millrace
