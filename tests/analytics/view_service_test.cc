// The whole service over a running pipeline, with its threads.
#include "analytics/view_service.h"

#include <set>
#include <thread>

#include "tests/analytics/view_fixture.h"
#include "tests/shards/pipeline_fixture.h"

namespace millrace {
namespace {

constexpr std::uint64_t patience_us = 60'000'000;

class view_service_test : public pipeline_fixture {
 protected:
  view_service_test() : door_(1) {
    options_.log.segment_bytes = limits::mib;
    wanted_.directory = directory_.path() + "/views";
    wanted_.backend = "cpu";
    wanted_.plans = {counting_plan()};
    wanted_.plans[0].idle_us = 3600 * second_us;  // the wall's clock decides nothing here
  }
  void start_pipeline() {
    open();
    line_->start();
    if (!line_->describe("clicks").ok()) stream_ = create("clicks", 2);
  }
  void start_views() {
    views_ = nullptr;
    auto opened = view_service::open(*line_, wanted_);
    ASSERT_TRUE(opened.ok()) << opened.failure().message();
    views_ = *std::move(opened);
    views_->start();
  }
  /// Records of twenty keys at one event time, so that every shard comes to it.
  void write(std::int64_t second) {
    record_batch& batch = door_.empty(stream_);
    for (int key = 0; key < 20; ++key) {
      door_.add_record(batch, "key" + std::to_string(key),
                       "{\"t\":" + std::to_string(second * second_us) + ",\"k\":\"a\",\"v\":1}");
    }
    batch_entry all;
    all.record_count = 20;
    batch.entries.push_back(all);
    submit(batch);
    door_.wait_for(++submitted_);
  }
  /// Rows in the order of emission, from an ordinal on, until there are `count` emissions.
  std::vector<std::string> wait_for(std::uint64_t count) {
    std::vector<std::string> rows;
    for (std::uint64_t next = 0; next < count;) {
      const auto found = views_->wait("counts", next, patience_us);
      EXPECT_TRUE(found.ok() && !found->empty());
      if (!found.ok() || found->empty()) return rows;
      for (const emission& one : *found) {
        EXPECT_EQ(one.ordinal, next++);
        for (const std::string& row : row_texts(*one.windows))
          rows.push_back(row);
      }
    }
    return rows;
  }

  test_door door_;
  stream_id stream_;
  std::size_t submitted_ = 0;
  view_service::options wanted_;
  std::unique_ptr<view_service> views_;
};

using texts = std::vector<std::string>;

TEST_F(view_service_test, readers_see_closed_and_open_windows_and_wait_for_the_next_ones) {
  start_pipeline();
  start_views();
  write(1);
  write(5);
  write(12);
  EXPECT_EQ(wait_for(1), (texts{"0..10 a 40 40"}));
  const auto open_rows = views_->read("counts", {.open = true});
  ASSERT_TRUE(open_rows.ok()) << open_rows.failure().message();
  EXPECT_EQ(row_texts(*open_rows), (texts{"10..20 a 20 20"}));
  const auto count_open = [&](const view_query& query) {
    return views_->read("counts", query)->rows.size();
  };
  EXPECT_EQ(count_open({.open = true, .from_us = 19 * second_us, .to_us = 11 * second_us}), 1u);
  EXPECT_EQ(count_open({.open = true, .from_us = 20 * second_us}), 0u);
  EXPECT_EQ(count_open({.open = true, .to_us = 10 * second_us}), 0u);
  EXPECT_EQ(count_open({.open = true, .rows_max = 0}), 0u);
  write(22);
  write(32);
  EXPECT_EQ(wait_for(3), (texts{"0..10 a 40 40", "10..20 a 20 20", "20..30 a 20 20"}));
  const auto read = [&](const view_query& query) {
    return row_texts(*views_->read("counts", query));
  };
  EXPECT_EQ(read({}), (texts{"20..30 a 20 20", "10..20 a 20 20", "0..10 a 40 40"}));
  EXPECT_EQ(read({.rows_max = 1}), (texts{"20..30 a 20 20"}));
  EXPECT_EQ(read({.from_us = 10 * second_us, .to_us = 20 * second_us}), (texts{"10..20 a 20 20"}));
  const auto status = views_->describe("counts");
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->fault, "");
  EXPECT_EQ(views_->list().size(), 1u);
  EXPECT_FALSE(views_->describe("none").ok());
  EXPECT_TRUE(views_->wait("counts", 3, 1000)->empty());
  views_->stop();
  EXPECT_EQ(views_->counters().get(counter::view_records_folded), 100u);
  EXPECT_EQ(views_->counters().get(counter::view_rows_closed), 3u);
  close();
}

TEST_F(view_service_test, a_service_that_was_killed_goes_on_and_shows_each_ordinal_once) {
  start_pipeline();
  start_views();
  texts expected;
  for (std::int64_t second = 0; second < 60; second += 5) {
    write(second);
    if (second % 20 == 10) {
      if (second == 30) views_->stop();  // and twice without
      start_views();
    }
  }
  for (int window = 0; window < 5; ++window) {
    expected.push_back(std::to_string(window * 10) + ".." + std::to_string(window * 10 + 10) +
                       " a 40 40");
  }
  EXPECT_EQ(wait_for(5), expected);
  views_->stop();
  close();
}

TEST_F(view_service_test, windows_are_whole_while_shards_are_split_and_merged) {
  start_pipeline();
  start_views();
  for (std::int64_t second = 0; second < 100; second += 5) {
    write(second);
    const std::uint32_t shards = second == 25 ? 5 : second == 55 ? 1 : 0;
    if (shards == 0) continue;
    const status resharded = line_->reshard("clicks", shards);
    ASSERT_TRUE(resharded.ok()) << resharded.failure().message();
  }
  texts expected;
  for (int window = 0; window < 9; ++window) {
    expected.push_back(std::to_string(window * 10) + ".." + std::to_string(window * 10 + 10) +
                       " a 40 40");
  }
  // Emissions may hold more than one window when a decision came late; rows are the same.
  texts rows;
  for (std::uint64_t next = 0; rows.size() < expected.size();) {
    const auto found = views_->wait("counts", next, patience_us);
    ASSERT_TRUE(found.ok() && !found->empty());
    for (const emission& one : *found) {
      EXPECT_EQ(one.ordinal, next++);
      for (const std::string& row : row_texts(*one.windows))
        rows.push_back(row);
    }
  }
  EXPECT_EQ(rows, expected);
  EXPECT_EQ(views_->describe("counts")->counts.late, 0u);
  views_->stop();
  close();
}

TEST_F(view_service_test, a_view_that_is_new_catches_up_and_shares_the_pass_from_then_on) {
  start_pipeline();
  start_views();
  write(1);
  write(12);
  EXPECT_EQ(wait_for(1).size(), 1u);
  views_->stop();
  wanted_.plans.push_back(counting_plan("second"));
  wanted_.plans[1].idle_us = 3600 * second_us;
  start_views();
  write(22);
  EXPECT_EQ(wait_for(2), (texts{"0..10 a 20 20", "10..20 a 20 20"}));
  const auto second = views_->wait("second", 1, patience_us);
  ASSERT_TRUE(second.ok() && !second->empty());
  EXPECT_EQ(row_texts(*second->front().windows), (texts{"10..20 a 20 20"}));
  views_->stop();
  close();
}

TEST_F(view_service_test, a_device_that_is_lost_leaves_the_view_on_the_cpu) {
  view_faults faults;
  faults.polls_until_loss = 3;
  wanted_.backend = "cuda";
  wanted_.make_fold = [&faults](
                          std::string_view backend,
                          std::vector<view_plan> plans) -> result<std::unique_ptr<window_fold>> {
    auto fold = make_cpu_fold(std::move(plans));
    if (!fold.ok() || backend == "cpu") return fold;
    return std::unique_ptr<window_fold>(std::make_unique<faulty_fold>(*std::move(fold), faults));
  };
  start_pipeline();
  start_views();
  for (std::int64_t second = 0; second < 40; second += 5)
    write(second);
  EXPECT_EQ(wait_for(3), (texts{"0..10 a 40 40", "10..20 a 40 40", "20..30 a 40 40"}));
  views_->stop();
  const auto status = views_->describe("counts");
  EXPECT_NE(status->fault.find("the device fell off the bus"), std::string::npos) << status->fault;
  EXPECT_EQ(views_->counters().get(counter::view_backend_faults), 1u);
  close();
}

/// A fold whose device takes as long as the test wants.
struct slow_device {
  std::atomic<bool> is_held = false;
  std::atomic<std::uint64_t> polls_held = 0;

  void wait_for_polls(std::uint64_t more) const {
    const std::uint64_t until = polls_held + more;
    while (polls_held < until)
      std::this_thread::yield();
  }
};
class slow_fold final : public wrapped_fold {
 public:
  slow_fold(std::unique_ptr<window_fold> below, slow_device& device)
      : wrapped_fold(std::move(below)), device_(device) {}
  bool submit(fold_job& job) override {
    is_busy_ = true;
    return wrapped_fold::submit(job);
  }
  result<bool> poll(fold_job& job) override {
    if (device_.is_held) {
      ++device_.polls_held;
      return false;
    }
    is_busy_ = false;
    return wrapped_fold::poll(job);
  }
  status read_open(std::uint32_t view, const open_range& range, window_rows& out) override {
    EXPECT_FALSE(is_busy_) << "the contract of window_fold";
    return wrapped_fold::read_open(view, range, out);
  }

 private:
  slow_device& device_;
  bool is_busy_ = false;
};

class slow_view_service_test : public view_service_test {
 protected:
  slow_view_service_test() {
    wanted_.make_fold = [this](
                            std::string_view,
                            std::vector<view_plan> plans) -> result<std::unique_ptr<window_fold>> {
      MILLRACE_ASSIGN(auto fold, make_cpu_fold(std::move(plans)));
      return std::unique_ptr<window_fold>(std::make_unique<slow_fold>(std::move(fold), device_));
    };
  }
  /// Records that are folded, and then some whose fold does not end, and a reader that comes then.
  void read_while_folding() {
    start_pipeline();
    start_views();
    write(1);
    while (views_->describe("counts")->counts.folded < 20)
      std::this_thread::yield();
    device_.is_held = true;
    write(5);
    device_.wait_for_polls(1);
    reader_ = std::thread([this] { read_ = views_->read("counts", {.open = true}); });
    device_.wait_for_polls(1000);
  }

  slow_device device_;
  std::thread reader_;
  result<window_rows> read_ = window_rows();
};

TEST_F(slow_view_service_test, who_reads_open_windows_in_the_middle_of_a_block_gets_all_of_it) {
  read_while_folding();
  device_.is_held = false;
  reader_.join();
  ASSERT_TRUE(read_.ok()) << read_.failure().message();
  EXPECT_EQ(row_texts(*read_), (texts{"0..10 a 40 40"}));
  views_->stop();
  close();
}

TEST_F(view_service_test, a_view_of_a_stream_that_is_deleted_says_so) {
  start_pipeline();
  start_views();
  write(1);
  ASSERT_TRUE(line_->delete_stream("clicks").ok());
  const std::uint64_t until_us = monotonic_us() + patience_us;
  while (views_->describe("counts")->fault.empty() && monotonic_us() < until_us)
    std::this_thread::yield();
  EXPECT_EQ(views_->describe("counts")->fault, "stream 'clicks' was deleted");
  views_->stop();
  start_views();
  EXPECT_NE(views_->describe("counts")->fault.find("does not exist"), std::string::npos);
  EXPECT_FALSE(views_->read("counts", {}).ok());
  views_->stop();
  close();
}

}  // namespace
}  // namespace millrace
