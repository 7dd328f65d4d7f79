#include "ingest/record_server.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/ingest/server_fixture.h"

namespace millrace::test {
namespace {

using wire::datagram_type;
using wire::reset_reason;
using strings = std::vector<std::string>;

class record_server_test : public server_fixture {};

TEST_F(record_server_test, records_become_durable_and_are_acked_in_order) {
  client who = connect();
  EXPECT_NE(who.session, 0u);
  send_data(who, 0, {"a", "b"});
  send_data(who, 2, {"c"});
  auto ack = last_ack(who);
  EXPECT_EQ(ack.received_record, 3u);
  EXPECT_EQ(ack.durable_record, 0u) << "nothing is durable before the sink says so";
  EXPECT_EQ(ack.largest_packet, 2u);
  EXPECT_EQ(ack.packets[0] & 3, 3u);
  commit();
  ack = last_ack(who);
  EXPECT_EQ(ack.durable_record, 3u);
  EXPECT_EQ(kept_data(), (strings{"a", "b", "c"}));
  EXPECT_TRUE(buffers.empty()) << "buffers of durable records go back";
}

TEST_F(record_server_test, early_datagrams_wait_for_the_one_before_them) {
  client who = connect();
  send_data(who, 3, {"d"});
  send_data(who, 1, {"b", "c"});
  work();
  EXPECT_EQ(last_ack(who).received_record, 0u);
  EXPECT_EQ(count(counter::datagrams_early), 2u);
  send_data(who, 0, {"a"});
  commit();
  EXPECT_EQ(kept_data(), (strings{"a", "b", "c", "d"}));
  EXPECT_TRUE(buffers.empty());
}

TEST_F(record_server_test, duplicates_by_packet_or_by_record_change_nothing) {
  client who = connect();
  const auto once = data(who, 0, {"a", "b"});
  deliver(once, who.address);
  deliver(once, who.address);
  EXPECT_EQ(count(counter::datagrams_replayed), 1u);
  send_data(who, 0, {"a", "b"});  // the same records in a new packet
  EXPECT_EQ(count(counter::datagrams_duplicate), 1u);
  send_data(who, 1, {"b", "c"});  // half of it is new
  commit();
  EXPECT_EQ(kept_data(), (strings{"a", "b", "c"}));
  EXPECT_EQ(count(counter::records_duplicate), 3u);
}

TEST_F(record_server_test, any_order_with_duplicates_gives_the_records_once_and_in_order) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    client who;
    who.nonce = static_cast<std::uint64_t>(round) + 100;
    who.producer = producer_id(make_uint128(9, static_cast<std::uint64_t>(round)));
    who = connect(who);
    std::vector<std::uint64_t> order(60);
    std::iota(order.begin(), order.end(), 0);
    for (std::uint64_t i = 0; i < 40; ++i)
      order.push_back(i);
    std::shuffle(order.begin(), order.end(), random);
    for (const std::uint64_t i : order) {
      send_data(who, i * 2, {std::to_string(i * 2), std::to_string(i * 2 + 1)});
    }
    commit();
    EXPECT_EQ(last_ack(who).durable_record, 120u);
  }
  std::map<uint128, std::uint64_t> next;
  for (const kept_record& one : sink.kept()) {
    EXPECT_EQ(one.number, next[one.producer.value]++);
    EXPECT_EQ(one.data, std::to_string(one.number));
  }
  EXPECT_TRUE(buffers.empty());
}

TEST_F(record_server_test, a_gap_is_named_after_a_delay_and_again_with_backoff) {
  client who = connect();
  send_data(who, 2, {"c"});
  work();
  EXPECT_FALSE(last(who, datagram_type::nak)) << "reordering is not loss";
  pass(1000);
  const auto nak = last(who, datagram_type::nak);
  ASSERT_TRUE(nak);
  EXPECT_EQ(nak->as<wire::nak_payload>().range_count, 1u);
  const auto range = load<wire::nak_range>(nak->payload.data() + sizeof(wire::nak_payload));
  EXPECT_EQ(range.first_record, 0u);
  EXPECT_EQ(range.last_record, 1u);
  for (int i = 0; i < 100; ++i)
    pass(1000);
  EXPECT_GE(count(counter::naks_sent), 3u);
  EXPECT_LE(count(counter::naks_sent), 8u) << "100 ms of waiting is not worth more";
  send_data(who, 0, {"a", "b"});
  const auto before = count(counter::naks_sent);
  for (int i = 0; i < 100; ++i)
    pass(10'000);
  EXPECT_EQ(count(counter::naks_sent), before) << "nothing is missing any more";
}

TEST_F(record_server_test, a_heartbeat_shows_a_lost_tail) {
  client who = connect();
  send_data(who, 0, {"a"});
  heartbeat(who, 4);
  work();
  pass(1000);
  const auto nak = last(who, datagram_type::nak);
  ASSERT_TRUE(nak);
  const auto range = load<wire::nak_range>(nak->payload.data() + sizeof(wire::nak_payload));
  EXPECT_EQ(range.first_record, 1u);
  EXPECT_EQ(range.last_record, 3u);
}

TEST_F(record_server_test, early_datagrams_are_bounded_by_number_and_by_the_reserve) {
  record_server_options options;
  options.early_datagrams_max = 3;
  restart(options);
  client who = connect();
  for (std::uint64_t i = 1; i <= 5; ++i)
    send_data(who, i, {"x"});
  EXPECT_EQ(buffers.size(), 3u);
  EXPECT_EQ(count(counter::datagrams_dropped_no_room), 2u);
  const auto ack = last_ack(who);
  EXPECT_EQ(ack.largest_packet, 3u) << "what was dropped has not arrived";

  source.now.buffers_free = 20;  // under the reserve
  pass(1000);
  client other;
  other.nonce = 2;
  other.producer = producer_id(make_uint128(5, 5));
  other = connect(other);
  send_data(other, 1, {"x"});
  EXPECT_EQ(buffers.size(), 3u);
  send_data(other, 0, {"in order"});
  EXPECT_EQ(buffers.size(), 4u) << "the next record in order is always taken";
}

TEST_F(record_server_test, records_without_room_in_a_batch_are_dropped_unacked_and_asked_for) {
  client who = connect();
  sink.is_full = true;
  std::uint64_t record = 0;
  heartbeat(who, 0);
  work();  // credit for more than one datagram
  const std::string big(60'000, 'x');
  while (count(counter::datagrams_dropped_no_room) == 0)
    send_data(who, record++, {big});
  const auto ack = last_ack(who);
  EXPECT_EQ(ack.received_record, record - 1);
  EXPECT_LT(ack.largest_packet, who.next_packet - 1);
  pass(10'000);
  EXPECT_GE(count(counter::naks_sent), 1u);
  sink.is_full = false;
  commit();
  send_data(who, record - 1, {big});
  commit();
  EXPECT_EQ(last_ack(who).durable_record, record);
}

TEST_F(record_server_test, the_first_credit_is_one_datagram_and_a_large_record_is_always_allowed) {
  client who = connect();
  EXPECT_EQ(who.credit, limits::datagram_bytes_max);
  const std::string big(40'000, 'x');
  send_data(who, 0, {big});
  send_data(who, 1, {big});
  EXPECT_EQ(count(counter::datagrams_dropped_no_room), 1u) << "beyond the credit";
  source.now.buffers_free = 0;
  pass(1000);
  const auto ack = last(who, datagram_type::ack);
  ASSERT_TRUE(ack);
  EXPECT_GE(ack->as<wire::ack_payload>().credit_limit, limits::record_bytes_max);
}

TEST_F(record_server_test, a_blocked_log_gives_no_more_credit_and_refuses_newcomers) {
  client who = connect();
  sink.blocked = true;
  heartbeat(who, 0);
  const auto ack = last_ack(who);
  EXPECT_EQ(ack.credit_limit, who.credit);
  EXPECT_EQ(ack.state, std::uint32_t{wire::state_storage_blocked});
  client late;
  late.nonce = 77;
  late.producer = producer_id(make_uint128(3, 3));
  deliver(open(late, get_cookie(late)), late.address);
  work();
  const auto reset = last(late, datagram_type::reset);
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->reason(), reset_reason::storage_blocked);
  EXPECT_EQ(reset->header.first_record, late.nonce);
  sink.blocked = false;
  heartbeat(who, 0);
  EXPECT_GT(last_ack(who).credit_limit, who.credit) << "service returns by itself";
}

TEST_F(record_server_test, a_large_record_comes_in_fragments_in_any_order) {
  client who = connect();
  heartbeat(who, 0);
  work();
  const auto record = make_record("k", std::string(3'000'000, 'y'));
  const auto bytes = load<record_header>(record.data()).record_bytes;
  const byte_view whole(record.data(), bytes);
  std::vector<std::uint32_t> offsets;
  for (std::uint32_t at = 0; at < bytes; at += 48'000)
    offsets.push_back(at);
  std::mt19937_64 random(3);
  std::shuffle(offsets.begin(), offsets.end(), random);
  for (const std::uint32_t at : offsets) {
    fragment(who, 0, whole, at, std::min(48'000u, bytes - at));
    fragment(who, 0, whole, at, std::min(48'000u, bytes - at));  // each twice
  }
  send_data(who, 1, {"after it"});
  EXPECT_EQ(reassemblies->in_use(), 1u);
  commit();
  EXPECT_EQ(reassemblies->in_use(), 0u);
  ASSERT_EQ(sink.kept().size(), 2u);
  EXPECT_EQ(sink.kept()[0].data.size(), 3'000'000u);
  EXPECT_EQ(sink.kept()[1].data, "after it");
  EXPECT_EQ(count(counter::reassembly_bytes_copied), bytes);
}

TEST_F(record_server_test, a_large_record_waits_for_the_record_before_it) {
  client who = connect();
  heartbeat(who, 0);
  work();
  const auto record = make_record("k", std::string(100'000, 'y'));
  const byte_view whole(record.data(), load<record_header>(record.data()).record_bytes);
  fragment(who, 1, whole, 0, 64'000);
  fragment(who, 1, whole, 64'000, static_cast<std::uint32_t>(whole.size()) - 64'000);
  send_data(who, 2, {"c"});
  send_data(who, 0, {"a"});
  commit();
  ASSERT_EQ(sink.kept().size(), 3u);
  EXPECT_EQ(sink.kept()[1].data.size(), 100'000u);
}

TEST_F(record_server_test, a_reassembly_without_progress_ends_its_session) {
  client who = connect();
  heartbeat(who, 0);
  work();
  const auto record = make_record("k", std::string(100'000, 'y'));
  fragment(who, 0, record, 0, 8'000);
  for (int i = 0; i < 25; ++i)
    pass(500'000);
  const auto reset = last(who, datagram_type::reset);
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->reason(), reset_reason::reassembly_timeout);
  EXPECT_EQ(reassemblies->in_use(), 0u);
  EXPECT_EQ(server->sessions(), 0u);
}

TEST_F(record_server_test, a_newer_session_of_the_same_producer_fences_the_older) {
  client old = connect();
  send_data(old, 0, {"a"});
  commit();
  client young;
  young.nonce = 2;
  const auto cookie = get_cookie(young);
  deliver(open(young, cookie), young.address);
  work();
  sink.commit_all();
  source.sent.clear();
  work();
  ASSERT_EQ(source.sent.size(), 2u) << "RESET for the old, OPEN_ACK for the new";
  take_open_ack(young);
  EXPECT_EQ(young.next_record, 1u) << "the log has record 0";
  EXPECT_EQ(count(counter::sessions_fenced), 1u);
  send_data(old, 1, {"zombie"});
  EXPECT_EQ(count(counter::datagrams_unknown_session), 1u);
  send_data(young, 1, {"b"});
  commit();
  EXPECT_EQ(kept_data(), (strings{"a", "b"}));
}

TEST_F(record_server_test, entries_fenced_by_the_log_end_the_session) {
  client who = connect();
  send_data(who, 0, {"a"});
  work();
  sink.commit_one(outcome::fenced);
  work();
  const auto reset = last(who, datagram_type::reset);
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->reason(), reset_reason::fenced);
  EXPECT_EQ(server->sessions(), 0u);
  EXPECT_EQ(count(counter::records_fenced), 1u);
}

TEST_F(record_server_test, an_open_that_is_sent_again_is_answered_again_and_opens_nothing) {
  client who;
  const auto cookie = get_cookie(who);
  const auto bytes = open(who, cookie);
  deliver(bytes, who.address);
  deliver(bytes, who.address);
  commit();
  EXPECT_EQ(source.sent.size(), 1u);
  take_open_ack(who);
  const auto session = who.session;
  deliver(bytes, who.address);
  work();
  take_open_ack(who);
  EXPECT_EQ(who.session, session);
  EXPECT_EQ(count(counter::sessions_opened), 1u);
}

TEST_F(record_server_test, a_malformed_record_is_named_and_its_good_predecessors_are_not_lost) {
  client who = connect();
  send_data(who, 0, {"a"});
  auto good = make_record("k", "fine");
  auto bad = make_record("k", "no key here");
  store(bad.data() + 4, std::uint16_t{0});  // an empty partition key
  good.insert(good.end(), bad.begin(), bad.end());
  deliver(in_session(who, datagram_type::data, good, 1, 2), who.address);
  commit();
  const auto reset = last(who, datagram_type::reset);
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->reason(), reset_reason::malformed_record);
  EXPECT_EQ(reset->as<wire::reset_payload>().detail, 2u);
  EXPECT_EQ(kept_data(), (strings{"a"}));
  EXPECT_TRUE(buffers.empty());
}

TEST_F(record_server_test, a_malformed_record_that_waited_gives_every_buffer_back) {
  client who = connect();
  auto bad = make_record("k", "x");
  store(bad.data() + 4, std::uint16_t{0});
  send_data(who, 1, {"b"});
  deliver(in_session(who, datagram_type::data, bad, 2, 1), who.address);
  send_data(who, 3, {"d"});
  send_data(who, 0, {"a"});
  commit();
  EXPECT_EQ(server->sessions(), 0u);
  EXPECT_EQ(kept_data(), (strings{"a", "b"}));
  EXPECT_TRUE(buffers.empty());
}

TEST_F(record_server_test, silent_sessions_are_forgotten_and_their_slots_used_again) {
  client who = connect();
  pass(29'000'000);
  EXPECT_EQ(server->sessions(), 1u);
  for (int i = 0; i < 200; ++i)
    pass(20'000);
  EXPECT_EQ(server->sessions(), 0u);
  EXPECT_EQ(count(counter::sessions_expired), 1u);
  EXPECT_EQ(last(who, datagram_type::reset)->reason(), reset_reason::idle);
  client next;
  next.nonce = 3;
  next = connect(next);
  EXPECT_EQ(next.slot, who.slot);
  EXPECT_NE(next.session, who.session);
}

TEST_F(record_server_test, heartbeats_keep_a_session) {
  client who = connect();
  for (int i = 0; i < 10; ++i) {
    pass(20'000'000);
    heartbeat(who, 0);
  }
  EXPECT_EQ(server->sessions(), 1u);
}

TEST_F(record_server_test, sessions_are_bounded) {
  record_server_options options;
  options.sessions_max = 2;
  restart(options);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    client who;
    who.nonce = i;
    who.producer = producer_id(make_uint128(i, i));
    deliver(open(who, get_cookie(who)), who.address);
    commit();
    const auto replies = take_replies(who);
    ASSERT_EQ(replies.size(), 1u);
    if (i < 3) {
      EXPECT_EQ(replies[0].type, datagram_type::open_ack);
    } else {
      EXPECT_EQ(replies[0].reason(), reset_reason::sessions_exhausted);
    }
  }
}

TEST_F(record_server_test, an_unknown_stream_is_refused) {
  client who;
  deliver(open(who, get_cookie(who), "nothing"), who.address);
  work();
  EXPECT_EQ(last(who, datagram_type::reset)->reason(), reset_reason::stream_not_found);
  EXPECT_EQ(server->sessions(), 0u);
}

TEST_F(record_server_test, a_client_whose_address_changes_is_answered_at_the_new_one) {
  client who = connect();
  who.address = client_address(6000);
  send_data(who, 0, {"a"});
  pass(1000);
  const auto replies = take_replies(who);
  ASSERT_FALSE(replies.empty());
  EXPECT_EQ(replies.back().to.port, 6000);
}

TEST_F(record_server_test, a_probe_is_answered_with_its_size) {
  client who = connect();
  deliver(in_session(who, datagram_type::probe, std::vector<std::byte>(9'000)), who.address);
  work();
  const auto ack = last(who, datagram_type::probe_ack);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->as<wire::probe_ack_payload>().datagram_bytes, 9'000u + 52);
}

TEST_F(record_server_test, shutdown_makes_durable_what_was_taken_and_tells_everyone) {
  client who = connect();
  send_data(who, 0, {"a"});
  server->begin_shutdown();
  send_data(who, 1, {"too late"});
  client late;
  late.nonce = 9;
  deliver(hello(late), late.address);
  filler->submit_all();
  sink.commit_all();
  filler->collect(now);
  server->end_sessions(now);
  EXPECT_EQ(kept_data(), (strings{"a"}));
  bool has_closing_ack = false;
  std::size_t resets = 0;
  for (const reply& one : take_replies(who)) {
    if (one.type == datagram_type::reset) {
      ++resets;
      EXPECT_EQ(one.reason(), reset_reason::shutting_down);
    }
    if (one.type != datagram_type::ack) continue;
    const auto ack = one.as<wire::ack_payload>();
    has_closing_ack |= ack.state == wire::state_closing && ack.durable_record == 1;
  }
  EXPECT_TRUE(has_closing_ack);
  EXPECT_EQ(resets, 2u) << "one for the session, one for the newcomer";
  EXPECT_EQ(server->sessions(), 0u);
}

TEST_F(record_server_test, close_frees_the_session) {
  client who = connect();
  deliver(in_session(who, datagram_type::close, {}), who.address);
  EXPECT_EQ(server->sessions(), 0u);
  EXPECT_EQ(count(counter::sessions_closed), 1u);
}

}  // namespace
}  // namespace millrace::test
