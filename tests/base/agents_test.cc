// What agents talk through: queues, wakers, counters, batches.
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/record_batch.h"
#include "base/waker.h"

namespace millrace {
namespace {

TEST(bounded_queue, keeps_order_and_says_when_it_is_full_or_empty) {
  bounded_queue<int> queue(3);
  int got = 0;
  EXPECT_FALSE(queue.pop(got));
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(queue.push(3 * round));
    EXPECT_TRUE(queue.push(3 * round + 1));
    EXPECT_TRUE(queue.push(3 * round + 2));
    EXPECT_FALSE(queue.push(99));
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(queue.pop(got));
      EXPECT_EQ(got, 3 * round + i);
    }
    EXPECT_TRUE(queue.empty());
  }
}

TEST(bounded_queue, loses_nothing_between_threads) {
  bounded_queue<int> queue(16);
  constexpr int each = 20'000;
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&queue, w] {
      for (int i = 0; i < each; ++i) {
        while (!queue.push(w * each + i))
          std::this_thread::yield();
      }
    });
  }
  std::vector<int> next(2, 0);
  for (int taken = 0; taken < 2 * each;) {
    int item = 0;
    if (!queue.pop(item)) {
      std::this_thread::yield();
      continue;
    }
    ++taken;
    const int writer = item / each;
    EXPECT_EQ(item % each, next[static_cast<std::size_t>(writer)]++);
  }
  for (auto& writer : writers)
    writer.join();
}

TEST(waker, a_sleeper_wakes_for_work_that_came_before_or_while_it_slept) {
  waker bell;
  bounded_queue<int> queue(4);
  std::thread worker([&] {
    for (int i = 0; i < 1000; ++i) {
      while (!queue.push(i))
        std::this_thread::yield();
      bell.notify();
    }
  });
  int expected = 0;
  const std::uint64_t give_up_us = monotonic_us() + 30'000'000;
  while (expected < 1000) {
    int item = 0;
    if (queue.pop(item)) {
      EXPECT_EQ(item, expected++);
      continue;
    }
    ASSERT_LT(monotonic_us(), give_up_us);
    // Longer than the test may take: only a notification can end it in time.
    bell.wait(60'000'000, [&] { return !queue.empty(); });
  }
  worker.join();
}

TEST(waker, waits_no_longer_than_asked) {
  waker bell;
  const std::uint64_t before = monotonic_us();
  bell.wait(2'000, [] { return false; });
  EXPECT_GE(monotonic_us() - before, 2'000u);
}

TEST(counters, the_registry_adds_up_all_sets) {
  counter_set a;
  counter_set b;
  counter_registry registry;
  registry.attach(a);
  registry.attach(b);
  a.add(counter::records_received, 5);
  b.add(counter::records_received, 7);
  b.set(gauge::sessions_open, 3);
  EXPECT_EQ(registry.total(counter::records_received), 12u);
  EXPECT_EQ(registry.total(gauge::sessions_open), 3u);
  EXPECT_EQ(registry.total(counter::flushes), 0u);
}

TEST(counters, every_one_has_a_name_and_a_help_text) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(counter::count); ++i) {
    EXPECT_FALSE(text_of(static_cast<counter>(i)).name.empty());
    EXPECT_FALSE(text_of(static_cast<counter>(i)).help.empty());
  }
  EXPECT_EQ(text_of(counter::datagrams_received).name, "datagrams_received");
  EXPECT_EQ(text_of(gauge::log_bytes).name, "log_bytes");
}

class nowhere final : public batch_home {
 public:
  void finished(record_batch& /*batch*/) override {}
};

TEST(record_batch, changes_hands_only_in_turn) {
  nowhere home;
  record_batch batch(home);
  batch.advance(batch_state::idle, batch_state::filling);
  batch.advance(batch_state::filling, batch_state::submitted);
  EXPECT_EQ(batch.state(), batch_state::submitted);
  EXPECT_DEATH(batch.advance(batch_state::filling, batch_state::submitted), "out of turn");
}

TEST(error, messages_read_as_a_trail) {
  const error deep = error::from_errno(ENOSPC, "write of 4096 bytes");
  EXPECT_EQ(deep.code(), error_code::storage_full);
  const error outer = error(deep).with_context("segment 3").with_context("stream 'orders'");
  EXPECT_EQ(outer.message(),
            "stream 'orders': segment 3: write of 4096 bytes: No space left on device");
  EXPECT_EQ(outer.code(), error_code::storage_full);
}

result<int> half(int value) {
  if (value % 2 != 0) return error(error_code::invalid_argument, "odd");
  return value / 2;
}

result<int> quarter(int value) {
  MILLRACE_ASSIGN(const int once, half(value));
  MILLRACE_ASSIGN(const int twice, half(once));
  return twice;
}

TEST(error, assign_and_try_pass_errors_on) {
  EXPECT_EQ(*quarter(12), 3);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).failure().message(), "odd");
  const auto tried = []() -> status {
    MILLRACE_TRY(half(3));
    return {};
  };
  EXPECT_FALSE(tried().ok());
}

}  // namespace
}  // namespace millrace
