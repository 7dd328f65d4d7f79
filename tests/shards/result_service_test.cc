#include "shards/result_service.h"

#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>

#include <gtest/gtest.h>

#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

/// A door that waits for its answers.
class waiting_home final : public result_home {
 public:
  void answered(result_query& query) override {
    std::lock_guard lock(mutex_);
    ++answers_[&query];
    came_.notify_all();
  }
  bool wait_for(const result_query& query) {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, std::chrono::seconds(60), [&] { return answers_[&query] == 1; });
  }
  int answers_to(const result_query& query) {
    std::lock_guard lock(mutex_);
    return answers_[&query];
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::map<const result_query*, int> answers_;
};

class result_service_test : public testing::Test {
 protected:
  result_service_test() {
    auto opening = std::make_unique<built_batch>();
    opening->open_entry(who);
    log.submit(std::move(opening));
    auto one = std::make_unique<built_batch>();
    one->records_entry(who, epoch_number(1), record_number(0));
    for (std::uint32_t i = 0; i < 6; ++i)
      one->record(shard_index(i % 2), "k", std::to_string(i));
    log.submit(std::move(one));
    log.drain();
  }

  result_query query(std::uint64_t first, std::uint32_t count, std::uint32_t stream = 7) {
    result_query one;
    one.stream = stream_id(stream);
    one.producer = who;
    one.first = record_number(first);
    one.count = count;
    one.home = &home;
    return one;
  }
  result_service::find_log find() {
    return [this](stream_id stream) -> std::shared_ptr<const stream_log> {
      if (stream != stream_id(7)) return nullptr;
      return {log.log.get(), [](const stream_log*) {}};
    };
  }

  const producer_id who{9};
  log_fixture log;
  waiting_home home;
};

TEST_F(result_service_test, tells_the_place_of_each_record_in_order) {
  result_service service(find());
  result_query asked = query(1, 4);
  ASSERT_TRUE(service.ask(asked));
  ASSERT_TRUE(home.wait_for(asked));
  ASSERT_EQ(asked.places.size(), 4u);
  EXPECT_FALSE(asked.failed);
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(asked.places[i].shard.value, (1 + i) % 2);
    EXPECT_EQ(asked.places[i].index.value, (1 + i) / 2);
    EXPECT_EQ(asked.places[i].created_s, 1000u);
    EXPECT_EQ(asked.places[i].arrival_s, log.wall_us / 1'000'000);
  }
}

TEST_F(result_service_test, says_so_when_the_log_or_the_stream_does_not_know) {
  result_service service(find());
  result_query beyond = query(5, 2);
  result_query elsewhere = query(0, 1, 8);
  beyond.places.resize(3);
  ASSERT_TRUE(service.ask(beyond) && service.ask(elsewhere));
  ASSERT_TRUE(home.wait_for(beyond) && home.wait_for(elsewhere));
  EXPECT_TRUE(beyond.places.empty()) << "all or none";
  EXPECT_FALSE(beyond.failed);
  EXPECT_TRUE(elsewhere.places.empty());
  EXPECT_FALSE(elsewhere.failed);
}

TEST_F(result_service_test, a_log_that_cannot_be_read_now_is_no_answer) {
  log.kill();
  log.write({{0, "the segment before this one has to be opened"}});
  log.plan.failing_opens = 1;
  result_service service(find());
  result_query asked = query(0, 6);
  ASSERT_TRUE(service.ask(asked));
  ASSERT_TRUE(home.wait_for(asked));
  EXPECT_TRUE(asked.failed);
  EXPECT_TRUE(asked.places.empty());
  result_query again = query(0, 6);
  ASSERT_TRUE(service.ask(again));
  ASSERT_TRUE(home.wait_for(again));
  EXPECT_FALSE(again.failed);
  EXPECT_EQ(again.places.size(), 6u);
}

TEST_F(result_service_test, takes_a_bounded_number_of_questions_and_answers_all_before_it_ends) {
  std::promise<void> entered;
  std::promise<void> go_on;
  bool is_first = true;
  result_service service([&, released = go_on.get_future().share()](stream_id stream) {
    if (std::exchange(is_first, false)) entered.set_value();
    released.wait();
    return find()(stream);
  });
  std::vector<result_query> all(result_service::queries_max + 2);
  for (result_query& one : all)
    one = query(0, 6);
  ASSERT_TRUE(service.ask(all[0]));
  entered.get_future().wait();  // being answered: no longer in the queue
  for (std::size_t i = 1; i <= result_service::queries_max; ++i)
    ASSERT_TRUE(service.ask(all[i])) << i;
  EXPECT_FALSE(service.ask(all.back())) << "no room";

  std::thread stopping([&] { service.stop(); });
  go_on.set_value();
  stopping.join();
  for (std::size_t i = 0; i <= result_service::queries_max; ++i)
    ASSERT_EQ(home.answers_to(all[i]), 1) << i;
  EXPECT_EQ(home.answers_to(all.back()), 0);
  EXPECT_EQ(all[0].places.size(), 6u);
  for (std::size_t i = 1; i <= result_service::queries_max; ++i)
    EXPECT_TRUE(all[i].failed != (all[i].places.size() == 6)) << "never called lost";
  EXPECT_FALSE(service.ask(all.back())) << "it has ended";
}

}  // namespace
}  // namespace millrace
