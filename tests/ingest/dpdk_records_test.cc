/// The record protocol over a DPDK port: a producer and a door in one process, joined by net_ring.
#include <gtest/gtest.h>

#include "ingest/door.h"
#include "ingest/dpdk_port.h"
#include "ingest/producer.h"
#include "tests/ingest/dpdk_arguments.h"
#include "tests/ingest/memory_log.h"

namespace millrace {
namespace {

using testing_parts::logged_record;
using testing_parts::memory_log;

constexpr std::uint64_t patience_us = 60'000'000;

class dpdk_records_test : public testing::Test {
 protected:
  void SetUp() override {
    if (dpdk_version() == "none") GTEST_SKIP() << "this build has no DPDK";
    const status started = start_dpdk(test::dpdk_arguments);
    ASSERT_TRUE(started.ok()) << started.failure().message();
  }

  void begin(const dpdk_ring_options& ring) {
    auto made = arena::create(
        {.bytes = dpdk_ring_arena_bytes(ring) + 64 * limits::mib, .try_hugetlb = false});
    ASSERT_TRUE(made.ok());
    memory_.emplace(std::move(*made));
    auto pair = open_dpdk_ring_pair(ring, *memory_);
    ASSERT_TRUE(pair.ok()) << pair.failure().message();
    auto opened =
        door::create({.memory = *memory_, .sink = log_, .cookies = cookies_, .lookup = &log_},
                     std::move(pair->server), {});
    ASSERT_TRUE(opened.ok()) << opened.failure().message();
    door_ = std::move(*opened);
    door_->start();
    producer_options options;
    options.stream = "orders";
    auto connected =
        producer::connect(std::move(pair->client), pair->server_address, options,
                          [this](const record_outcome& what) { durable_ += what.durable ? 1 : 0; });
    ASSERT_TRUE(connected.ok()) << connected.failure().message();
    producer_ = std::move(*connected);
  }

  static std::string text_of(std::uint64_t number, std::size_t bytes) {
    std::string text = std::to_string(number) + ":";
    text.resize(std::max(text.size(), bytes), static_cast<char>('a' + number % 26));
    return text;
  }

  void send(std::uint64_t count, std::size_t bytes) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string text = text_of(i, bytes);
      const auto given = producer_->send("key" + std::to_string(i % 37),
                                         std::as_bytes(std::span(text.data(), text.size())));
      ASSERT_TRUE(given.ok()) << given.failure().message();
    }
    const status done = producer_->flush(patience_us);
    ASSERT_TRUE(done.ok()) << done.failure().message();
  }

  void check(std::uint64_t count, std::size_t bytes) {
    EXPECT_EQ(durable_.load(), count);
    const std::vector<logged_record> log = log_.records();
    ASSERT_EQ(log.size(), count);
    for (std::uint64_t i = 0; i < count; ++i) {
      ASSERT_EQ(log[i].number, i);
      ASSERT_EQ(log[i].data, text_of(i, bytes));
    }
  }

  // Destroyed from the last to the first: client, server, then what they stand on.
  memory_log log_{1, 300};
  cookie_maker cookies_;
  std::optional<arena> memory_;
  std::unique_ptr<door> door_;
  std::atomic<std::uint64_t> durable_{0};
  std::unique_ptr<producer> producer_;
};

TEST_F(dpdk_records_test, every_record_arrives_once_and_in_order) {
  begin({});
  send(50'000, 200);
  check(50'000, 200);
  producer_->close();
  door_->stop();
}

TEST_F(dpdk_records_test, a_tiny_ring_and_few_buffers_only_slow_it_down) {
  begin({.mtu = 1500, .buffers = 256, .ring_frames = 64});
  send(20'000, 100);
  check(20'000, 100);
  producer_->close();
  door_->stop();
}

TEST_F(dpdk_records_test, a_record_of_megabytes_crosses_in_many_datagrams) {
  begin({});
  send(3, 3'000'000);
  check(3, 3'000'000);
  producer_->close();
  door_->stop();
}

}  // namespace
}  // namespace millrace
