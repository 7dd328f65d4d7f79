#pragma once
/// A record server with a fake sink behind it and a client in front of it that says exactly what a
/// test wants said, byte by byte. Time stands still until a test moves it.
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ingest/record_server.h"
#include "tests/ingest/fake_sink.h"
#include "tests/ingest/server_client.h"

namespace millrace::test {

class server_fixture : public ::testing::Test, protected buffer_owner {
 protected:
  server_fixture() { restart({}); }

  void restart(record_server_options options, result_lookup* lookup = nullptr) {
    server.reset();
    filler.reset();
    counters = std::make_unique<counter_set>();
    memory.emplace(*arena::create({.bytes = 64 * limits::mib, .try_hugetlb = false}));
    reassemblies = *reassembly_pool::create(*memory, 2);
    filler = std::make_unique<batch_filler>(sink, batch_filler_options{.batches = 8}, *counters,
                                            nullptr);
    filler->register_owner(*this);
    server = std::make_unique<record_server>(record_server_parts{.sink = sink,
                                                                 .filler = *filler,
                                                                 .source = source,
                                                                 .reassemblies = *reassemblies,
                                                                 .cookies = cookies,
                                                                 .counters = *counters,
                                                                 .lookup = lookup},
                                             options);
  }

  void release(std::uint64_t value) override { buffers.erase(value); }

  // --- time and rounds ---
  void work() {
    filler->collect(now);
    filler->submit_due(now);
    server->do_work(now);
  }
  void pass(std::uint64_t us) {
    now += us;
    work();
  }
  /// Everything submitted becomes durable, and the server hears of it.
  void commit() {
    for (int rounds = 0; rounds < 4; ++rounds) {
      pass(limits::batch_linger_us);
      sink.commit_all();
    }
    work();
  }

  // --- the client's side ---
  void deliver(std::vector<std::byte> bytes, const endpoint& from) {
    const std::uint64_t buffer = next_buffer++;
    std::vector<std::byte>& kept = buffers[buffer];
    kept = std::move(bytes);
    const received_packet packet{.bytes = kept,
                                 .from = from,
                                 .buffer = buffer,
                                 .buffer_bytes = static_cast<std::uint32_t>(kept.size())};
    if (!server->handle(packet, batch_filler::buffer_handle(0, buffer), now)) buffers.erase(buffer);
  }

  std::vector<std::byte> seal(const client& who, wire::datagram_header header,
                              std::span<const std::byte> payload) {
    std::vector<std::byte> bytes(sizeof header + payload.size() + wire::tag_bytes);
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    header.key_id = who.key ? who.key->key_id : 0;
    bytes.resize(wire::seal_datagram(bytes.data(), header, who.key ? &who.keys.to_server : nullptr,
                                     &engine));
    return bytes;
  }
  std::vector<std::byte> in_session(client& who, wire::datagram_type type,
                                    std::span<const std::byte> payload,
                                    std::uint64_t first_record = 0, std::uint16_t records = 0,
                                    std::uint8_t flags = 0) {
    wire::datagram_header header{};
    header.type = static_cast<std::uint8_t>(type);
    header.flags = flags;
    header.record_count = records;
    header.session = who.session;
    header.session_slot = who.slot;
    header.packet_number = who.next_packet++;
    header.first_record = first_record;
    header.send_time_us = static_cast<std::uint32_t>(now);
    return seal(who, header, payload);
  }

  std::vector<std::byte> hello(const client& who, std::size_t padding = 40) {
    std::vector<std::byte> payload(sizeof(wire::hello_payload) + padding);
    store(payload.data(), wire::hello_payload{.client_nonce = who.nonce, .reserved = 0});
    wire::datagram_header header{};
    header.type = static_cast<std::uint8_t>(wire::datagram_type::hello);
    client plain = who;
    plain.key.reset();
    return seal(plain, header, payload);
  }
  std::vector<std::byte> open(client& who, const wire::cookie_payload& cookie,
                              std::string_view stream = "orders", std::uint8_t flags = 0) {
    wire::open_payload payload{};
    payload.cookie = cookie;
    payload.producer_high = high_bits(who.producer.value);
    payload.producer_low = low_bits(who.producer.value);
    payload.datagram_bytes_max = limits::datagram_bytes_max;
    payload.stream_name_bytes = static_cast<std::uint16_t>(stream.size());
    std::memcpy(payload.stream_name, stream.data(), stream.size());
    wire::datagram_header header{};
    header.type = static_cast<std::uint8_t>(wire::datagram_type::open);
    header.flags = flags;
    header.packet_number = 0x7777 + who.nonce;
    header.first_record = who.nonce;
    if (who.key) who.keys = derive_open_keys(*who.key, header.packet_number, who.nonce);
    return seal(who, header, std::as_bytes(std::span(&payload, 1)));
  }
  wire::cookie_payload get_cookie(const client& who) {
    source.sent.clear();
    deliver(hello(who), who.address);
    server->do_work(now);
    const auto replies = take_replies(who);
    EXPECT_EQ(replies.size(), 1u);
    if (replies.empty()) return {};
    EXPECT_EQ(replies[0].type, wire::datagram_type::cookie);
    return replies[0].as<wire::cookie_payload>();
  }
  /// The whole handshake.
  client connect(client who = {}, std::uint8_t flags = 0, std::string_view stream = "orders") {
    const auto cookie = get_cookie(who);
    deliver(open(who, cookie, stream, flags), who.address);
    commit();
    take_open_ack(who);
    return who;
  }
  void take_open_ack(client& who) {
    for (const auto& [to, bytes] : std::exchange(source.sent, {})) {
      const auto header = load<wire::datagram_header>(bytes.data());
      if (header.type != static_cast<std::uint8_t>(wire::datagram_type::open_ack)) continue;
      if (who.key) who.keys = derive_session_keys(*who.key, header.session, who.nonce);
      const auto got = verified(who, to, bytes);
      ASSERT_TRUE(got.has_value());
      const auto ack = got->as<wire::open_ack_payload>();
      EXPECT_EQ(ack.client_nonce, who.nonce);
      who.session = header.session;
      who.slot = header.session_slot;
      who.next_record = ack.next_record;
      who.credit = ack.credit_limit;
      return;
    }
    ADD_FAILURE() << "no OPEN_ACK came";
  }

  std::vector<std::byte> data(client& who, std::uint64_t first,
                              const std::vector<std::string>& records, std::uint8_t flags = 0) {
    std::vector<std::byte> payload;
    for (const std::string& one : records) {
      const auto bytes = make_record("key-" + one.substr(0, 20), one);
      payload.insert(payload.end(), bytes.begin(), bytes.end());
    }
    return in_session(who, wire::datagram_type::data, payload, first,
                      static_cast<std::uint16_t>(records.size()), flags);
  }
  void send_data(client& who, std::uint64_t first, const std::vector<std::string>& records) {
    deliver(data(who, first, records), who.address);
  }
  void heartbeat(client& who, std::uint64_t next_record, std::uint64_t results_record = 0) {
    const wire::heartbeat_payload beat{.next_record = next_record,
                                       .results_record = results_record};
    deliver(in_session(who, wire::datagram_type::heartbeat, std::as_bytes(std::span(&beat, 1))),
            who.address);
  }
  void fragment(client& who, std::uint64_t record, byte_view whole, std::uint32_t offset,
                std::uint32_t size) {
    std::vector<std::byte> payload(sizeof(wire::fragment_payload) + size);
    store(payload.data(),
          wire::fragment_payload{.record_bytes = static_cast<std::uint32_t>(whole.size()),
                                 .offset = offset});
    std::memcpy(payload.data() + sizeof(wire::fragment_payload), whole.data() + offset, size);
    deliver(in_session(who, wire::datagram_type::fragment, payload, record), who.address);
  }

  // --- the server's side ---
  std::optional<reply> verified(const client& who, const endpoint& to,
                                std::vector<std::byte> bytes) {
    wire::datagram from;
    if (wire::parse_datagram(bytes, from) != wire::datagram_fault::none) return std::nullopt;
    const auto fault = from.header.key_id != 0
                           ? wire::verify_keyed(from, who.keys.to_client, engine)
                           : wire::verify_plain(from);
    if (fault != wire::datagram_fault::none) return std::nullopt;
    return reply{.type = from.type(),
                 .header = from.header,
                 .payload = {from.payload.begin(), from.payload.end()},
                 .datagram_bytes = bytes.size(),
                 .to = to};
  }
  std::vector<reply> take_replies(const client& who) {
    std::vector<reply> replies;
    for (auto& [to, bytes] : std::exchange(source.sent, {})) {
      auto one = verified(who, to, std::move(bytes));
      EXPECT_TRUE(one.has_value()) << "the server sent what its client cannot verify";
      if (one) replies.push_back(std::move(*one));
    }
    return replies;
  }
  /// The newest reply of a type among those not taken yet; takes all.
  std::optional<reply> last(const client& who, wire::datagram_type type) {
    std::optional<reply> found;
    for (reply& one : take_replies(who)) {
      if (one.type == type) found = std::move(one);
    }
    return found;
  }
  wire::ack_payload last_ack(const client& who) {
    pass(1000);
    const auto got = last(who, wire::datagram_type::ack);
    EXPECT_TRUE(got.has_value()) << "no ACK came";
    return got ? got->as<wire::ack_payload>() : wire::ack_payload{};
  }
  std::uint64_t count(counter c) const { return counters->get(c); }
  std::vector<std::string> kept_data() const {
    std::vector<std::string> all;
    for (const kept_record& one : sink.kept())
      all.push_back(one.data);
    return all;
  }

  fake_sink sink;
  capture_source source;
  cookie_maker cookies;
  aead_engine engine;
  std::unique_ptr<counter_set> counters;
  std::optional<arena> memory;
  std::unique_ptr<reassembly_pool> reassemblies;
  std::unique_ptr<batch_filler> filler;
  std::unique_ptr<record_server> server;
  std::map<std::uint64_t, std::vector<std::byte>> buffers;  ///< held by the server or a batch
  std::uint64_t next_buffer = 0;
  std::uint64_t now = 1'000'000'000;
};

}  // namespace millrace::test
