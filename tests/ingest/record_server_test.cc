#include "ingest/record_server.h"

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

TEST_F(record_server_test, a_batch_of_an_earlier_session_says_nothing_to_the_next_in_its_place) {
  client old = connect();
  send_data(old, 0, {"a"});
  pass(limits::batch_linger_us);
  deliver(in_session(old, datagram_type::close, {}), old.address);
  client young;
  young.nonce = 2;
  deliver(open(young, get_cookie(young)), young.address);
  pass(limits::batch_linger_us);
  // The log answers the OPEN first, and refuses what the old epoch wrote.
  ASSERT_TRUE(sink.commit_newest());
  work();
  take_open_ack(young);
  ASSERT_EQ(young.slot, old.slot);
  ASSERT_TRUE(sink.commit_one());
  work();
  EXPECT_EQ(server->sessions(), 1u) << "fenced was the old session";
  send_data(young, 0, {"b"});
  commit();
  EXPECT_EQ(kept_data(), (strings{"b"}));
}

}  // namespace
}  // namespace millrace::test
