// What must change nothing: damaged, forged, replayed and absurd datagrams. And keyed sessions.
#include <random>

#include "tests/ingest/server_fixture.h"

namespace millrace::test {
namespace {

using wire::datagram_type;
using wire::reset_reason;

class hostile_test : public server_fixture {
 protected:
  /// All that a hostile datagram may not touch.
  std::vector<std::uint64_t> state() const {
    return {count(counter::records_received),
            count(counter::sessions_opened),
            count(counter::sessions_closed),
            count(counter::datagrams_early),
            server->sessions(),
            filler->in_use(),
            buffers.size(),
            reassemblies->in_use()};
  }
};

TEST_F(hostile_test, a_datagram_cut_anywhere_or_with_any_bit_flipped_changes_nothing) {
  client who = connect();
  heartbeat(who, 0);
  work();
  const auto good = data(who, 0, {"a", "b"});
  const auto before = state();
  for (std::size_t length = 0; length < good.size(); ++length) {
    deliver({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)}, who.address);
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    deliver(bad, who.address);
  }
  auto longer = good;
  longer.push_back(std::byte{0});
  deliver(longer, who.address);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(last_ack(who).received_record, 0u);
  deliver(good, who.address);
  EXPECT_EQ(last_ack(who).received_record, 2u) << "nor was its packet number used up";
}

TEST_F(hostile_test, random_bytes_change_nothing) {
  client who = connect();
  const auto before = state();
  std::mt19937_64 random(11);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bytes(random() % 300);
    for (std::byte& one : bytes)
      one = static_cast<std::byte>(random());
    if (bytes.size() >= 48 && i % 2 == 0) {
      store(bytes.data(), wire::magic);
      bytes[4] = static_cast<std::byte>(random() % 16);
      store(bytes.data() + 8, who.session);
      store(bytes.data() + 16, who.slot);
    }
    deliver(bytes, who.address);
  }
  EXPECT_EQ(state(), before);
}

TEST_F(hostile_test, no_reply_before_a_session_is_larger_than_its_request) {
  client who;
  for (std::size_t padding = 0; padding < 60; ++padding) {
    const auto request = hello(who, padding);
    deliver(request, who.address);
    server->do_work(now);
    for (const auto& [to, bytes] : std::exchange(source.sent, {})) {
      EXPECT_LE(bytes.size(), request.size());
    }
  }
  const auto cookie = get_cookie(who);
  const auto request = open(who, cookie);
  deliver(request, who.address);
  commit();
  ASSERT_FALSE(source.sent.empty());
  for (const auto& [to, bytes] : std::exchange(source.sent, {})) {
    EXPECT_LE(bytes.size(), request.size());
  }
  // Unknown sessions: a CLOSE is smaller than a RESET, so it gets none.
  client stranger;
  stranger.session = 0x4242;
  deliver(in_session(stranger, datagram_type::close, {}), stranger.address);
  server->do_work(now);
  EXPECT_TRUE(source.sent.empty());
  heartbeat(stranger, 0);
  server->do_work(now);
  ASSERT_EQ(source.sent.size(), 1u);
  EXPECT_LE(source.sent[0].second.size(), 68u);
}

TEST_F(hostile_test, resets_to_unknown_sessions_are_limited) {
  client stranger;
  stranger.session = 0x4242;
  for (int i = 0; i < 5'000; ++i)
    heartbeat(stranger, 0);
  EXPECT_LE(count(counter::resets_sent), 100u);
  EXPECT_GE(count(counter::resets_sent), 1u);
  EXPECT_EQ(count(counter::datagrams_unknown_session), 5'000u);
}

TEST_F(hostile_test, forged_moved_and_expired_cookies_open_nothing) {
  client who;
  const auto cookie = get_cookie(who);
  auto forged = cookie;
  forged.mac[3] ^= 1;
  deliver(open(who, forged), who.address);
  deliver(open(who, cookie), client_address(5001));  // stolen by another address
  client other = who;
  other.nonce = who.nonce + 1;
  auto moved = cookie;
  moved.client_nonce = other.nonce;
  deliver(open(other, moved), who.address);
  now += 12'000'000;
  deliver(open(who, cookie), who.address);
  work();
  EXPECT_EQ(count(counter::cookies_rejected), 4u);
  EXPECT_EQ(server->sessions(), 0u);
  EXPECT_TRUE(source.sent.empty()) << "whoever sent it may not be at this address";
}

TEST_F(hostile_test, absurd_numbers_end_only_the_session_that_sent_them) {
  for (std::uint64_t i = 0; i < 3; ++i) {
    client who;
    who.nonce = 50 + i;
    who.producer = producer_id(make_uint128(50, i));
    who = connect(who);
    heartbeat(who, 0);
    work();
    source.sent.clear();
    const auto record = make_record("k", "v");
    if (i == 0) {
      deliver(in_session(who, datagram_type::data, record, UINT64_MAX - 1, 1), who.address);
    } else {
      std::vector<std::byte> payload(sizeof(wire::fragment_payload) + 16);
      store(payload.data(), wire::fragment_payload{.record_bytes = i == 1 ? UINT32_MAX : 24,
                                                   .offset = 4'294'967'288u});
      deliver(in_session(who, datagram_type::fragment, payload, 0), who.address);
    }
    work();
    EXPECT_EQ(last(who, datagram_type::reset)->reason(), reset_reason::protocol_violation);
  }
  EXPECT_EQ(server->sessions(), 0u);
  EXPECT_EQ(reassemblies->in_use(), 0u);
}

TEST_F(hostile_test, an_old_packet_number_is_refused_though_it_was_never_seen) {
  client who = connect();
  const auto old = data(who, 0, {"a"});
  who.next_packet += 5'000;
  heartbeat(who, 0);
  deliver(old, who.address);
  EXPECT_EQ(count(counter::datagrams_replayed), 1u);
  EXPECT_EQ(count(counter::records_received), 0u);
}

class keyed_test : public hostile_test {
 protected:
  keyed_test() {
    key.secret.fill(0x5a);
    record_server_options options;
    options.keys.entries.push_back({.key = key, .streams = {"orders"}});
    options.keys.allows_unkeyed = false;
    restart(options);
    sink.add_stream("others");
  }
  client keyed(std::uint64_t nonce = 1) {
    client who;
    who.nonce = nonce;
    who.key = key;
    return who;
  }
  shared_key key{.key_id = 7, .secret = {}};
};

TEST_F(keyed_test, records_go_encrypted_and_are_acked_encrypted) {
  client who = connect(keyed());
  auto bytes = data(who, 0, {"secret words"});
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_EQ(text.find("secret words"), text.npos);
  deliver(bytes, who.address);
  commit();
  EXPECT_EQ(kept_data(), std::vector<std::string>{"secret words"});
  EXPECT_EQ(last_ack(who).durable_record, 1u);
}

TEST_F(keyed_test, a_flipped_bit_or_a_foreign_key_changes_nothing) {
  client who = connect(keyed());
  heartbeat(who, 0);
  work();
  const auto good = data(who, 0, {"a"});
  const auto before = state();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    deliver(bad, who.address);
  }
  client thief = who;
  thief.keys.to_server.key[0] ^= 1;
  deliver(data(thief, 0, {"b"}), who.address);
  client plain = who;
  plain.key.reset();
  deliver(data(plain, 0, {"c"}), who.address);
  EXPECT_EQ(state(), before);
  deliver(good, who.address);
  deliver(good, who.address);
  EXPECT_EQ(count(counter::datagrams_replayed), 1u);
  EXPECT_EQ(last_ack(who).received_record, 1u);
}

TEST_F(keyed_test, without_a_key_or_for_another_stream_there_is_no_session) {
  client plain;
  deliver(open(plain, get_cookie(plain)), plain.address);
  work();
  EXPECT_EQ(last(plain, datagram_type::reset)->reason(), reset_reason::not_permitted);
  client who = keyed(2);
  deliver(open(who, get_cookie(who), "others"), who.address);
  who.keys = derive_open_keys(key, 0x7777 + who.nonce, who.nonce);
  work();
  EXPECT_EQ(last(who, datagram_type::reset)->reason(), reset_reason::not_permitted);
  client unknown = keyed(3);
  unknown.key->key_id = 8;
  deliver(open(unknown, get_cookie(unknown)), unknown.address);
  client wrong = keyed(4);
  wrong.key->secret[0] ^= 1;
  deliver(open(wrong, get_cookie(wrong)), wrong.address);
  work();
  EXPECT_TRUE(source.sent.empty());
  EXPECT_EQ(count(counter::datagrams_unauthenticated), 2u);
  EXPECT_EQ(server->sessions(), 0u);
}

/// Answers when told to.
class fake_lookup final : public result_lookup {
 public:
  bool ask(result_query& query) override {
    asked.push_back(&query);
    return true;
  }
  std::vector<result_query*> asked;
};

class results_test : public server_fixture {
 protected:
  struct place {
    std::uint64_t record;
    std::uint64_t index;
    std::uint32_t shard;
    bool is_known;
  };
  std::vector<place> places_in(const std::vector<reply>& replies) {
    std::vector<place> all;
    for (const reply& one : replies) {
      if (one.type != datagram_type::results) continue;
      const auto head = one.as<wire::results_payload>();
      const std::byte* shards = one.payload.data() + sizeof head;
      const std::byte* deltas = shards + head.shard_count * sizeof(wire::result_shard);
      const std::byte* which = deltas + head.record_count * 4u;
      for (std::uint32_t i = 0; i < head.record_count; ++i) {
        if (head.shard_count == 0) {
          all.push_back({one.header.first_record + i, 0, 0, false});
          continue;
        }
        const auto shard = load<wire::result_shard>(shards + load<std::uint16_t>(which + 2 * i) *
                                                                 sizeof(wire::result_shard));
        all.push_back({one.header.first_record + i,
                       shard.base_index + load<std::uint32_t>(deltas + 4 * i), shard.shard, true});
      }
    }
    return all;
  }
};

TEST_F(results_test, places_are_told_and_kept_until_the_client_has_them) {
  client who = connect({}, wire::wants_results);
  std::vector<std::string> many(500, "x");
  send_data(who, 0, many);
  commit();
  auto places = places_in(take_replies(who));
  ASSERT_EQ(places.size(), 500u);
  for (std::uint64_t i = 0; i < 500; ++i) {
    EXPECT_EQ(places[i].record, i);
    EXPECT_EQ(places[i].index, i);
    EXPECT_EQ(places[i].shard, 7u);
  }
  heartbeat(who, 500, 0);
  EXPECT_EQ(last_ack(who).results_record, 500u);
  // All lost: the client asks by its heartbeats.
  for (int i = 0; i < 3; ++i) {
    heartbeat(who, 500, 0);
    pass(30'000);
  }
  EXPECT_GE(places_in(take_replies(who)).size(), 500u);
  heartbeat(who, 500, 500);
  pass(1000);
  take_replies(who);
  heartbeat(who, 500, 500);
  pass(1'000'000);
  EXPECT_TRUE(places_in(take_replies(who)).empty());
}

TEST_F(results_test, results_of_an_earlier_session_are_looked_up) {
  fake_lookup lookup;
  restart({}, &lookup);
  client who = connect();
  send_data(who, 0, {"a", "b", "c"});
  commit();
  client again;
  again.nonce = 2;
  again = connect(again, wire::wants_results);
  EXPECT_EQ(again.next_record, 3u);
  heartbeat(again, 3, 1);
  work();
  ASSERT_EQ(lookup.asked.size(), 1u);
  result_query& query = *lookup.asked[0];
  EXPECT_EQ(query.first.value, 1u);
  EXPECT_EQ(query.count, 2u);
  query.places = {{record_index(41), shard_index(2), 1, 2},
                  {record_index(10), shard_index(3), 1, 2}};
  query.home->answered(query);
  work();
  const auto places = places_in(take_replies(again));
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].index, 41u);
  EXPECT_EQ(places[1].shard, 3u);
}

TEST_F(results_test, a_lookup_that_failed_is_asked_again_and_nothing_is_called_unknown) {
  fake_lookup lookup;
  restart({}, &lookup);
  client who = connect();
  send_data(who, 0, {"a"});
  commit();
  client again;
  again.nonce = 2;
  again = connect(again, wire::wants_results);
  heartbeat(again, 1, 0);
  work();
  ASSERT_EQ(lookup.asked.size(), 1u);
  lookup.asked[0]->failed = true;
  lookup.asked[0]->home->answered(*lookup.asked[0]);
  work();
  EXPECT_TRUE(places_in(take_replies(again)).empty());
  heartbeat(again, 1, 0);
  work();
  ASSERT_EQ(lookup.asked.size(), 2u);
  EXPECT_FALSE(lookup.asked[1]->failed);
  lookup.asked[1]->places = {{record_index(4), shard_index(2), 1, 2}};
  lookup.asked[1]->home->answered(*lookup.asked[1]);
  work();
  const auto places = places_in(take_replies(again));
  ASSERT_EQ(places.size(), 1u);
  EXPECT_TRUE(places[0].is_known);
}

TEST_F(results_test, what_the_log_no_longer_knows_is_said_to_be_unknown) {
  client who = connect();
  send_data(who, 0, {"a", "b", "c"});
  commit();
  client again;
  again.nonce = 2;
  again = connect(again, wire::wants_results);
  heartbeat(again, 3, 0);
  pass(1000);
  const auto places = places_in(take_replies(again));
  ASSERT_EQ(places.size(), 3u);
  EXPECT_FALSE(places[0].is_known);
}

TEST_F(results_test, results_that_found_no_room_are_looked_up_later) {
  fake_lookup lookup;
  record_server_options options;
  options.results_chunks_max = 2;
  restart(options, &lookup);
  client who = connect({}, wire::wants_results);
  send_data(who, 0, std::vector<std::string>(1'000, "x"));
  commit();
  const auto places = places_in(take_replies(who));
  ASSERT_LT(places.size(), 1'000u);
  const auto known = static_cast<std::uint64_t>(places.size());
  EXPECT_EQ(count(counter::results_deferred), 1u);
  heartbeat(who, 1'000, known);
  work();
  ASSERT_EQ(lookup.asked.size(), 1u);
  EXPECT_EQ(lookup.asked[0]->first.value, known);
  EXPECT_EQ(lookup.asked[0]->count, 1'000 - known);
}

}  // namespace
}  // namespace millrace::test
