// Records that come early, twice, late, in pieces or not at all: what is released, kept, named and
// asked for.
#include <algorithm>
#include <numeric>
#include <random>

#include "tests/ingest/server_fixture.h"

namespace millrace::test {
namespace {

using wire::datagram_type;
using wire::reset_reason;
using strings = std::vector<std::string>;

class record_order_test : public server_fixture {
 protected:
  std::vector<wire::nak_range> asked_for(const client& who) {
    const auto nak = last(who, datagram_type::nak);
    if (!nak) return {};
    std::vector<wire::nak_range> ranges(nak->as<wire::nak_payload>().range_count);
    for (std::size_t i = 0; i < ranges.size(); ++i)
      ranges[i] = load<wire::nak_range>(nak->payload.data() + sizeof(wire::nak_payload) +
                                        i * sizeof(wire::nak_range));
    return ranges;
  }
};

TEST_F(record_order_test, early_datagrams_wait_for_the_one_before_them) {
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

TEST_F(record_order_test, duplicates_by_packet_or_by_record_change_nothing) {
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

TEST_F(record_order_test, any_order_with_duplicates_gives_the_records_once_and_in_order) {
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

TEST_F(record_order_test, a_gap_is_named_after_a_delay_and_again_with_backoff) {
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

TEST_F(record_order_test, a_heartbeat_shows_a_lost_tail) {
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

TEST_F(record_order_test, early_datagrams_are_bounded_by_number_and_by_the_reserve) {
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

TEST_F(record_order_test, records_without_room_in_a_batch_are_dropped_unacked_and_asked_for) {
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

TEST_F(record_order_test, the_first_credit_is_one_datagram_and_a_large_record_is_always_allowed) {
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

TEST_F(record_order_test, a_large_record_comes_in_fragments_in_any_order) {
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

TEST_F(record_order_test, a_large_record_waits_for_the_record_before_it) {
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

TEST_F(record_order_test, a_reassembly_without_progress_ends_its_session) {
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

TEST_F(record_order_test, a_malformed_record_that_waited_gives_every_buffer_back) {
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

TEST_F(record_order_test, a_nak_names_every_gap_up_to_as_many_as_it_holds) {
  client who = connect();
  for (const std::uint64_t i : {2, 5, 6, 9})
    send_data(who, i, {"x"});
  heartbeat(who, 12);
  pass(1000);
  const auto ranges = asked_for(who);
  ASSERT_EQ(ranges.size(), 4u);
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps{{0, 1}, {3, 4}, {7, 8}, {10, 11}};
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    EXPECT_EQ(ranges[i].first_record, gaps[i].first) << i;
    EXPECT_EQ(ranges[i].last_record, gaps[i].second) << i;
  }

  for (std::uint64_t i = 20; i < 20 + 4 * wire::nak_ranges_max; i += 2)
    send_data(who, i, {"x"});
  pass(1'000'000);
  EXPECT_EQ(asked_for(who).size(), wire::nak_ranges_max);
}

TEST_F(record_order_test, early_datagrams_use_up_the_credit_too) {
  client who = connect();
  ASSERT_EQ(who.credit, limits::datagram_bytes_max);
  const std::string half(40'000, 'x');
  send_data(who, 1, {half});
  EXPECT_EQ(buffers.size(), 1u);
  send_data(who, 2, {half});
  EXPECT_EQ(buffers.size(), 1u) << "two of them are more than the first credit";
  EXPECT_EQ(count(counter::datagrams_dropped_no_room), 1u);
  EXPECT_EQ(count(counter::datagrams_early), 1u);
}

TEST_F(record_order_test, an_early_datagram_that_came_in_another_way_is_let_go_at_once) {
  client who = connect();
  send_data(who, 1, {"b"});
  ASSERT_EQ(buffers.size(), 1u);
  send_data(who, 0, {"a", "b"});
  EXPECT_EQ(buffers.size(), 1u) << "the early one holds nothing that a batch needs";
  EXPECT_EQ(count(counter::records_duplicate), 1u);
  commit();
  EXPECT_EQ(kept_data(), (strings{"a", "b"}));
  EXPECT_TRUE(buffers.empty());
}

TEST_F(record_order_test, the_pieces_of_a_large_record_are_bounded_and_it_still_comes_together) {
  client who = connect();
  heartbeat(who, 0);
  work();
  // Every other 8 bytes: as many pieces that touch none of the others as there may be, and one.
  const auto record = make_record("k", std::string(16 * (reassembly::pieces_max + 1), 'y'));
  const byte_view whole(record.data(), load<record_header>(record.data()).record_bytes);
  for (std::uint32_t i = 0; i < reassembly::pieces_max; ++i)
    fragment(who, 0, whole, 16 * i, 8);
  EXPECT_EQ(count(counter::datagrams_dropped_no_room), 0u);
  fragment(who, 0, whole, 16 * reassembly::pieces_max, 8);
  EXPECT_EQ(count(counter::datagrams_dropped_no_room), 1u);
  for (std::uint32_t at = 0; at < whole.size(); at += 48'000)
    fragment(who, 0, whole, at, std::min(48'000u, static_cast<std::uint32_t>(whole.size()) - at));
  commit();
  ASSERT_EQ(sink.kept().size(), 1u);
  EXPECT_EQ(sink.kept()[0].data, std::string(16 * (reassembly::pieces_max + 1), 'y'));
}

}  // namespace
}  // namespace millrace::test
