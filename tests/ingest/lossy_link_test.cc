/// Producer and record server over a network that loses, repeats, delays and reorders, with a log
/// in memory: every record is there once, in order, and every outcome is right.
#include <map>
#include <thread>

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
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
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

TEST_F(lossy_link_test, without_results_outcomes_come_from_the_durable_ack) {
  begin(2);
  options_.wants_results = false;
  both_ways({.loss = 0.1, .duplication = 0.1, .delay_us_min = 20, .delay_us_max = 500});
  start_server();
  connect();
  send(5'000, 200);
  flush();
  check(/*places=*/false);
  EXPECT_GT(outcomes_.back().latency_us, 0u);
}

TEST_F(lossy_link_test, large_records_cross_in_pieces) {
  for (const double loss : {0.0, 0.05}) {
    SCOPED_TRACE(loss);
    begin(3);
    sent_.clear();
    outcomes_.clear();
    both_ways({.loss = loss, .delay_us_max = 300, .datagram_bytes_max = 8'972});
    start_server();
    connect();
    send(50, 500);
    sent_.push_back(text_of(sent_.size(), limits::record_payload_bytes_max - 64));
    ASSERT_TRUE(
        producer_
            ->send("key" + std::to_string((sent_.size() - 1) % 37),
                   {reinterpret_cast<const std::byte*>(sent_.back().data()), sent_.back().size()})
            .ok());
    send(30, 100'000);
    flush();
    check();
    producer_.reset();
    stop_server();
  }
}

TEST_F(lossy_link_test, the_largest_datagram_of_the_path_is_found) {
  for (const bool refuses : {false, true}) {
    begin(4);
    sent_.clear();
    outcomes_.clear();
    both_ways({.datagram_bytes_max = 1'500, .refuses_large = refuses});
    start_server();
    connect();
    send(2'000, 200);
    flush();
    check();
    EXPECT_EQ(producer_->statistics().datagram_bytes, 1'472u);
    producer_.reset();
    stop_server();
  }
}

TEST_F(lossy_link_test, a_path_that_no_longer_carries_large_datagrams_is_noticed) {
  begin(5);
  start_server();
  connect();
  send(3'000, 500);
  flush();
  ASSERT_EQ(producer_->statistics().datagram_bytes, limits::datagram_bytes_max);
  link_->to_server({.datagram_bytes_max = 1'400});
  send(20'000, 500);
  flush();
  check();
  EXPECT_EQ(producer_->statistics().datagram_bytes, limits::datagram_bytes_min);
}

TEST_F(lossy_link_test, a_killed_server_comes_back_and_nothing_is_lost_or_doubled) {
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(20 + seed);
    sent_.clear();
    outcomes_.clear();
    both_ways({.loss = 0.02, .delay_us_min = 20, .delay_us_max = 400});
    start_server();
    connect();
    for (int round = 0; round < 4; ++round) {
      send(1'500, 300);
      stop_server();
      start_server();
    }
    send(500, 300);
    flush();
    check();
    EXPECT_GT(producer_->statistics().reconnects, 0u);
    producer_.reset();
    stop_server();
  }
}

TEST_F(lossy_link_test, a_server_that_shuts_down_politely_is_waited_for) {
  begin(30);
  start_server();
  connect();
  send(2'000, 300);
  door_->end_politely();
  stop_server();
  send(2'000, 300);
  start_server();
  flush();
  check();
  EXPECT_FALSE(producer_->statistics().last_trouble.empty());
}

TEST_F(lossy_link_test, a_cut_cable_is_survived) {
  begin(31);
  start_server();
  connect();
  send(2'000, 300);
  both_ways({.is_cut = true});
  send(2'000, 300);
  EXPECT_EQ(producer_->flush(1'500'000).failure().code(), error_code::timed_out);
  both_ways({});
  flush();
  check();
}

TEST_F(lossy_link_test, a_new_process_with_the_same_identity_goes_on_where_the_log_ends) {
  begin(32);
  start_server();
  connect(1);
  send(3'000, 200);
  // As after a kill: what was under way is forgotten with the process.
  producer_.reset();
  const std::size_t first_outcomes = outcomes_.size();
  options_.results_from = record_number(first_outcomes);
  connect(2);
  const std::uint64_t next = producer_->next_record().value;
  ASSERT_GE(next, first_outcomes);
  ASSERT_LE(next, 3'000u);
  sent_.resize(next);
  send(2'000, 200);
  flush();
  check();
}

TEST_F(lossy_link_test, a_server_that_forgot_the_places_does_not_hold_up_outcomes) {
  begin(33);
  start_server();
  connect(1);
  send(1'000, 100);
  flush();
  producer_.reset();
  outcomes_.clear();
  log_->knows_places = false;
  options_.results_from = record_number(0);
  connect(2);
  flush();
  check(/*places=*/false);
}

TEST_F(lossy_link_test, a_newer_session_of_the_identity_fences_the_older_for_good) {
  begin(34);
  start_server();
  connect(1);
  send(100, 100);
  flush();
  auto newer = producer::connect(link_->end(2), endpoint{}, options_, [](const record_outcome&) {});
  ASSERT_TRUE(newer.ok()) << newer.failure().message();
  const std::string text = "late";
  // The older learns of it from its next datagram, if not sooner.
  for (int i = 0; i < 1'000'000; ++i) {
    const auto given =
        producer_->send("key", {reinterpret_cast<const std::byte*>(text.data()), text.size()});
    if (!given.ok()) {
      EXPECT_EQ(given.failure().code(), error_code::fenced);
      break;
    }
    ASSERT_LT(i, 999'999);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  const status flushed = producer_->flush(patience_us);
  ASSERT_FALSE(flushed.ok());
  EXPECT_EQ(flushed.failure().code(), error_code::fenced);
  EXPECT_EQ(log_->records().size(), 100u);
  for (std::size_t i = 100; i < outcomes_.size(); ++i) {
    EXPECT_FALSE(outcomes_[i].durable);
    EXPECT_FALSE(outcomes_[i].reason.empty());
  }
}

TEST_F(lossy_link_test, keyed_sessions_survive_the_same) {
  begin(35);
  options_.key = shared_key{.key_id = 9, .secret = {1, 2, 3, 4, 5}};
  server_options_.keys.entries = {{.key = *options_.key, .streams = {"orders"}}};
  server_options_.keys.allows_unkeyed = false;
  both_ways({.loss = 0.1, .duplication = 0.1, .delay_us_min = 20, .delay_us_max = 1'000});
  start_server();
  connect();
  send(2'000, 300);
  stop_server();
  start_server();
  send(2'000, 300);
  flush();
  check();
}

TEST_F(lossy_link_test, a_wrong_key_or_stream_is_refused_with_its_reason) {
  begin(36);
  server_options_.keys.allows_unkeyed = false;
  start_server();
  auto unkeyed = producer::connect(link_->end(1), endpoint{}, options_, nullptr);
  ASSERT_FALSE(unkeyed.ok());
  EXPECT_EQ(unkeyed.failure().code(), error_code::permission);
  stop_server();

  server_options_.keys.allows_unkeyed = true;
  start_server();
  options_.stream = "nothing";
  auto lost = producer::connect(link_->end(1), endpoint{}, options_, nullptr);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.failure().code(), error_code::not_found);
}

TEST_F(lossy_link_test, a_blocked_log_is_waited_for_and_reported) {
  begin(37);
  start_server();
  connect();
  send(500, 200);
  flush();
  log_->blocked = true;
  send(500, 200);
  const auto becomes_blocked = [this](bool wanted) {
    for (int i = 0; i < 30'000 && producer_->statistics().storage_blocked != wanted; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return producer_->statistics().storage_blocked == wanted;
  };
  EXPECT_TRUE(becomes_blocked(true));
  log_->blocked = false;
  flush();
  check();
  EXPECT_TRUE(becomes_blocked(false));
}

TEST_F(lossy_link_test, many_threads_share_a_producer_and_a_small_buffer) {
  begin(38);
  options_.buffer_bytes_max = 64 * limits::kib;
  both_ways({.loss = 0.01});
  start_server();
  connect();
  std::vector<std::thread> senders;
  for (int t = 0; t < 4; ++t) {
    senders.emplace_back([this, t] {
      for (int i = 0; i < 1'000; ++i) {
        const std::string text = std::to_string(i) + std::string(100, '.');
        ASSERT_TRUE(producer_
                        ->send("thread" + std::to_string(t),
                               {reinterpret_cast<const std::byte*>(text.data()), text.size()})
                        .ok());
      }
    });
  }
  for (std::thread& one : senders)
    one.join();
  flush();
  const auto log = log_->records();
  ASSERT_EQ(log.size(), 4'000u);
  std::map<std::string, int> next;
  for (const logged_record& one : log)
    EXPECT_EQ(std::stoi(one.data), next[one.key]++);
}

}  // namespace
}  // namespace millrace
