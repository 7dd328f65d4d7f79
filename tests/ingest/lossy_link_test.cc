/// Producer and record server over a network that loses, repeats, delays and reorders, with a log
/// in memory: every record is there once, in order, and every outcome is right.
#include <gtest/gtest.h>

#include "ingest/producer.h"
#include "tests/ingest/memory_door.h"

namespace millrace {
namespace {

using testing_parts::link_conditions;
using testing_parts::logged_record;
using testing_parts::lossy_link;
using testing_parts::memory_door;
using testing_parts::memory_log;

constexpr std::uint64_t patience_us = 60'000'000;

class lossy_link_test : public testing::Test {
 protected:
  void begin(std::uint64_t seed, std::uint64_t log_delay_us = 500) {
    link_ = lossy_link::make(seed);
    log_ = std::make_unique<memory_log>(seed + 1, log_delay_us);
    random_.seed(seed + 2);
    options_.stream = "orders";
    options_.identity = producer_id(make_uint128(7, seed + 1));
    options_.wants_results = true;
  }
  void both_ways(const link_conditions& how) {
    link_->to_server(how);
    link_->to_clients(how);
  }
  void start_server() { door_ = std::make_unique<memory_door>(*link_, *log_, server_options_); }
  void stop_server() { door_.reset(); }

  void connect(std::uint16_t port = 1) {
    auto made =
        producer::connect(link_->end(port), endpoint{}, options_,
                          [this](const record_outcome& what) { outcomes_.push_back(what); });
    ASSERT_TRUE(made.ok()) << made.failure().message();
    producer_ = std::move(*made);
  }

  std::string text_of(std::uint64_t number, std::size_t bytes) {
    std::string text = std::to_string(number) + ":";
    while (text.size() < bytes)
      text += static_cast<char>('a' + (number + text.size()) % 26);
    return text;
  }
  void send(std::uint64_t count, std::size_t bytes_max) {
    std::uniform_int_distribution<std::size_t> bytes(0, bytes_max);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t number = sent_.size();
      sent_.push_back(text_of(number, bytes(random_)));
      const std::string& text = sent_.back();
      const auto given =
          producer_->send("key" + std::to_string(number % 37),
                          {reinterpret_cast<const std::byte*>(text.data()), text.size()});
      ASSERT_TRUE(given.ok()) << given.failure().message();
      ASSERT_EQ(given->value, number);
    }
  }
  void flush() {
    const status done = producer_->flush(patience_us);
    ASSERT_TRUE(done.ok()) << done.failure().message();
  }

  /// Every record sent is in the log once, in order; every outcome names its place.
  void check(bool places = true) {
    const std::vector<logged_record> log = log_->records();
    ASSERT_EQ(log.size(), sent_.size());
    for (std::uint64_t i = 0; i < sent_.size(); ++i) {
      ASSERT_EQ(log[i].number, i);
      ASSERT_EQ(log[i].data, sent_[i]);
      ASSERT_EQ(log[i].key, "key" + std::to_string(i % 37));
    }
    ASSERT_EQ(outcomes_.size(), sent_.size());
    for (std::uint64_t i = 0; i < sent_.size(); ++i) {
      const record_outcome& what = outcomes_[i];
      ASSERT_EQ(what.number.value, i);
      ASSERT_TRUE(what.durable);
      ASSERT_EQ(what.has_place, places) << i;
      if (!places) continue;
      ASSERT_EQ(what.shard, log[i].place.shard) << i;
      ASSERT_EQ(what.index, log[i].place.index) << i;
      ASSERT_EQ(what.shard_created_s, log[i].place.created_s);
      ASSERT_EQ(what.arrival_s, log[i].place.arrival_s);
    }
  }

  std::shared_ptr<lossy_link> link_;
  std::unique_ptr<memory_log> log_;
  std::unique_ptr<memory_door> door_;
  record_server_options server_options_;
  producer_options options_;
  std::unique_ptr<producer> producer_;
  std::vector<std::string> sent_;
  std::vector<record_outcome> outcomes_;
  std::mt19937_64 random_;
};

TEST_F(lossy_link_test, a_clean_link_delivers_every_record_once_and_in_order) {
  begin(1);
  start_server();
  connect();
  send(20'000, 200);
  flush();
  check();
  EXPECT_EQ(producer_->statistics().reconnects, 0u);
  EXPECT_EQ(producer_->statistics().datagram_bytes, limits::datagram_bytes_max);
}

TEST_F(lossy_link_test, loss_duplication_and_reordering_both_ways_change_nothing) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(100 + seed);
    sent_.clear();
    outcomes_.clear();
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> chance(0, 0.25);
    std::uniform_int_distribution<std::uint64_t> delay(0, 3'000);
    link_->to_server({.loss = chance(random),
                      .duplication = chance(random),
                      .delay_us_min = 50,
                      .delay_us_max = 50 + delay(random)});
    link_->to_clients({.loss = chance(random),
                       .duplication = chance(random),
                       .delay_us_min = 50,
                       .delay_us_max = 50 + delay(random)});
    options_.datagram_bytes_max = seed % 2 == 0 ? limits::datagram_bytes_min : 8'972;
    start_server();
    connect();
    send(4'000, 300);
    flush();
    check();
    producer_.reset();
    stop_server();
  }
}

}  // namespace
}  // namespace millrace
