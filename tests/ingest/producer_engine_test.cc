// The producer's engine against a server that says exactly what a test wants said. Time stands
// still until a test moves it.
#include "ingest/producer_engine.h"

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/waker.h"
#include "tests/ingest/server_client.h"

namespace millrace::test {
namespace {

using wire::datagram_type;

struct sent_datagram {
  wire::datagram_header header{};
  std::vector<std::byte> payload;
  datagram_type type() const { return static_cast<datagram_type>(header.type); }
};

class producer_engine_test : public testing::Test, protected engine_listener {
 protected:
  void begin(producer_options options) {
    options_ = std::move(options);
    options_.stream = "orders";
    options_.linger_us = 0;
    buffer_ = *producer_buffer::create(limits::mib, waker_);
    engine_listener& listener = *this;
    engine_.emplace(options_, producer_id(make_uint128(1, 2)), endpoint{},
                    limits::datagram_bytes_max, *buffer_, listener);
    engine_->start(now_);
  }

  // --- engine_listener ---
  void opened() override {}
  void outcome(const record_outcome& what) override { outcomes_.push_back(what); }
  void failed(const error& why) override { ADD_FAILURE() << why.message(); }
  void trouble(const std::string&) override {}

  // --- the producer's side ---
  void append(int records) {
    for (int i = 0; i < records; ++i) {
      const std::string text = "some data";
      ASSERT_TRUE(buffer_->append("key", std::as_bytes(std::span(text)), nullptr).ok());
    }
  }
  /// What the engine sends now.
  std::vector<sent_datagram> turn() {
    engine_->do_work(now_, /*no_linger=*/true, stage_);
    while (!stage_.send(source_)) {
    }
    stage_.clear();
    std::vector<sent_datagram> all;
    for (const auto& [to, bytes] : std::exchange(source_.sent, {})) {
      sent_datagram one{.header = load<wire::datagram_header>(bytes.data()), .payload = {}};
      one.payload.assign(bytes.begin() + sizeof one.header,
                         bytes.begin() + sizeof one.header + one.header.payload_bytes);
      all.push_back(std::move(one));
    }
    return all;
  }
  static std::vector<sent_datagram> only(datagram_type type,
                                         const std::vector<sent_datagram>& from) {
    std::vector<sent_datagram> found;
    for (const sent_datagram& one : from) {
      if (one.type() == type) found.push_back(one);
    }
    return found;
  }

  // --- the server's side ---
  template <class Payload>
  void say(datagram_type type, const Payload& payload, std::uint64_t first_record = 0) {
    wire::datagram_header header{};
    header.type = static_cast<std::uint8_t>(type);
    header.session = session_;
    header.packet_number = ++packet_;
    header.first_record = first_record;
    std::vector<std::byte> bytes(wire::datagram_bytes(sizeof payload, false));
    wire::seal_datagram(bytes.data(), header, payload, nullptr, nullptr);
    engine_->on_datagram(bytes, now_);
  }
  void say_missing(std::uint64_t first, std::uint64_t last) {
    struct {
      wire::nak_payload head;
      wire::nak_range range;
    } const nak{{.range_count = 1, .reserved = 0}, {first, last}};
    say(datagram_type::nak, nak);
  }
  void ack(std::uint64_t received, std::uint64_t durable, std::uint64_t largest_packet) {
    wire::ack_payload one{};
    one.received_record = received;
    one.durable_record = durable;
    one.credit_limit = limits::mib;
    one.largest_packet = largest_packet;
    one.packets[0] = UINT64_MAX;
    say(datagram_type::ack, one);
  }
  /// Answers the handshake that the engine is in: the log has all records below `next`.
  void accept(std::uint64_t next) {
    session_ = 0;
    const auto hello = only(datagram_type::hello, turn());
    ASSERT_EQ(hello.size(), 1u);
    const auto nonce = load<wire::hello_payload>(hello[0].payload.data()).client_nonce;
    say(datagram_type::cookie, wire::cookie_payload{.client_nonce = nonce, .time_s = 0, .mac = {}},
        nonce);
    ASSERT_EQ(only(datagram_type::open, turn()).size(), 1u);
    session_ = ++sessions_;
    say(datagram_type::open_ack,
        wire::open_ack_payload{.client_nonce = nonce,
                               .next_record = next,
                               .credit_limit = limits::mib,
                               .epoch = static_cast<std::uint32_t>(session_),
                               .datagram_bytes_max = limits::datagram_bytes_max,
                               .stream = 1,
                               .reserved = 0});
    ASSERT_TRUE(engine_->is_open());
  }
  /// The server was restarted: it knows no session.
  void forget_session() {
    say(datagram_type::reset, wire::reset_payload{.reason = static_cast<std::uint32_t>(
                                                      wire::reset_reason::unknown_session),
                                                  .reserved = 0,
                                                  .detail = 0});
    ASSERT_FALSE(engine_->is_open());
  }

  producer_options options_;
  waker waker_;
  std::unique_ptr<producer_buffer> buffer_;
  std::optional<producer_engine> engine_;
  producer_stage stage_;
  capture_source source_;
  std::vector<record_outcome> outcomes_;
  std::uint64_t session_ = 0;
  std::uint64_t sessions_ = 0;
  std::uint64_t packet_ = 0;
  std::uint64_t now_ = 1'000'000'000;
};

TEST_F(producer_engine_test, what_a_nak_names_is_sent_again_at_once) {
  begin({});
  accept(0);
  append(3);
  const auto sent = only(datagram_type::data, turn());
  ASSERT_EQ(sent.size(), 1u);
  ASSERT_EQ(sent[0].header.record_count, 3u);
  // The datagram arrived, and the server found no room for its last two records.
  now_ += 300;
  ack(1, 0, sent[0].header.packet_number);
  EXPECT_TRUE(only(datagram_type::data, turn()).empty()) << "nobody has asked for anything";
  now_ += 300;
  say_missing(1, 2);
  const auto again = only(datagram_type::data, turn());
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].header.first_record, 1u);
  EXPECT_EQ(again[0].header.record_count, 2u);
  EXPECT_GT(again[0].header.packet_number, sent[0].header.packet_number);
  EXPECT_EQ(engine_->statistics().naks, 1u);
  EXPECT_EQ(engine_->statistics().datagrams_resent, 1u);
}

TEST_F(producer_engine_test, what_the_log_has_after_a_reconnect_is_durable_and_not_sent_again) {
  begin({});
  accept(0);
  append(5);
  ASSERT_EQ(only(datagram_type::data, turn()).size(), 1u);
  EXPECT_TRUE(outcomes_.empty());
  now_ += 1'000;
  forget_session();
  accept(3);  // the log has got three of them; their acks were lost
  ASSERT_EQ(outcomes_.size(), 3u);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(outcomes_[i].number.value, i);
    EXPECT_TRUE(outcomes_[i].durable);
  }
  const auto again = only(datagram_type::data, turn());
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].header.first_record, 3u);
  EXPECT_EQ(again[0].header.record_count, 2u);
}

TEST_F(producer_engine_test, results_that_a_reconnect_cut_off_are_asked_for_at_once) {
  producer_options options;
  options.wants_results = true;
  begin(options);
  accept(0);
  append(4);
  turn();
  now_ += 1'000;
  forget_session();
  accept(4);
  EXPECT_TRUE(outcomes_.empty()) << "durable, but where is not known yet";
  const auto asked = only(datagram_type::heartbeat, turn());
  ASSERT_EQ(asked.size(), 1u);
  const auto beat = load<wire::heartbeat_payload>(asked[0].payload.data());
  EXPECT_EQ(beat.results_record, 0u) << "none has come";
  EXPECT_EQ(beat.next_record, 4u);
}

}  // namespace
}  // namespace millrace::test
