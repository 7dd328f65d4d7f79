// How sessions begin: HELLO, COOKIE, OPEN, OPEN_ACK.
#include <algorithm>

#include "ingest/record_server.h"

namespace millrace {
namespace {

/// An OPEN's stream name, or nothing when the field is not well-formed.
std::string_view stream_name(const wire::open_payload& open) {
  if (open.stream_name_bytes > wire::stream_name_bytes_max) return {};
  const std::string_view whole(open.stream_name, wire::stream_name_bytes_max);
  const bool rest_is_zero = whole.find_first_not_of('\0', open.stream_name_bytes) == whole.npos;
  return rest_is_zero ? whole.substr(0, open.stream_name_bytes) : std::string_view{};
}

}  // namespace

void record_server::on_hello(const wire::datagram& from, const received_packet& packet,
                             std::uint64_t now_us) {
  const std::uint32_t reply_bytes = wire::datagram_bytes(sizeof(wire::cookie_payload), false);
  const bool is_acceptable = from.header.key_id == 0 && from.bytes.size() >= reply_bytes &&
                             wire::verify_plain(from) == wire::datagram_fault::none;
  if (!is_acceptable) {
    counters_.add(counter::handshakes_refused);
    return;
  }
  const auto nonce = from.as<wire::hello_payload>().client_nonce;
  wire::datagram_header header{};
  header.packet_number = random_u64();
  header.first_record = nonce;
  header.send_time_us = from.header.send_time_us;
  std::byte* at = outbox_.claim();
  std::uint32_t bytes = 0;
  if (is_closing_) {
    counters_.add(counter::handshakes_refused);
    counters_.add(counter::resets_sent);
    header.type = static_cast<std::uint8_t>(wire::datagram_type::reset);
    const wire::reset_payload reset{
        .reason = static_cast<std::uint32_t>(wire::reset_reason::shutting_down),
        .reserved = 0,
        .detail = 0};
    bytes = wire::seal_datagram(at, header, reset, nullptr, nullptr);
  } else {
    header.type = static_cast<std::uint8_t>(wire::datagram_type::cookie);
    bytes = wire::seal_datagram(at, header, cookies_.make(packet.from, nonce, now_us), nullptr,
                                nullptr);
  }
  outbox_.commit(bytes, packet.from, packet.listener);
}

/// A RESET that answers an OPEN: smaller than any OPEN, sealed like it.
void record_server::refuse(const wire::datagram& from, const received_packet& packet,
                           wire::reset_reason reason, const aead_key* key) {
  counters_.add(counter::handshakes_refused);
  counters_.add(counter::resets_sent);
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::reset);
  header.key_id = key ? from.header.key_id : 0;
  header.packet_number = random_u64();
  header.first_record = from.header.first_record;
  header.send_time_us = from.header.send_time_us;
  const wire::reset_payload reset{
      .reason = static_cast<std::uint32_t>(reason), .reserved = 0, .detail = 0};
  const std::uint32_t bytes =
      wire::seal_datagram(outbox_.claim(), header, reset, key, key ? &engine_ : nullptr);
  outbox_.commit(bytes, packet.from, packet.listener);
}

void record_server::on_open(wire::datagram& from, const received_packet& packet,
                            std::uint64_t now_us) {
  const std::uint64_t nonce = from.header.first_record;
  const keyring_entry* entry = nullptr;
  session_keys keys;
  if (from.header.key_id != 0) {
    entry = options_.keys.find(from.header.key_id);
    if (entry) keys = derive_open_keys(entry->key, from.header.packet_number, nonce);
    if (!entry || wire::verify_keyed(from, keys.to_server, engine_) != wire::datagram_fault::none) {
      counters_.add(counter::datagrams_unauthenticated);
      counters_.add(counter::handshakes_refused);
      return;
    }
  } else if (wire::verify_plain(from) != wire::datagram_fault::none) {
    counters_.add(counter::datagrams_damaged);
    return;
  }
  const auto open = from.as<wire::open_payload>();
  if (open.cookie.client_nonce != nonce || !cookies_.check(open.cookie, packet.from, now_us)) {
    // No answer: whoever sent it may not be at this address.
    counters_.add(counter::cookies_rejected);
    counters_.add(counter::handshakes_refused);
    return;
  }
  const aead_key* reply_key = entry ? &keys.to_client : nullptr;
  const std::string_view name = stream_name(open);
  const producer_id producer(make_uint128(open.producer_high, open.producer_low));
  if (name.empty() || producer.value == 0 || open.reserved != 0) {
    return refuse(from, packet, wire::reset_reason::protocol_violation, reply_key);
  }
  if (is_closing_) return refuse(from, packet, wire::reset_reason::shutting_down, reply_key);
  if (entry ? !keyring::permits(*entry, name) : !options_.keys.allows_unkeyed) {
    return refuse(from, packet, wire::reset_reason::not_permitted, reply_key);
  }
  const auto found = sink_.find_stream(name);
  if (!found.ok()) {
    return refuse(from, packet, wire::reset_reason::stream_not_found, reply_key);
  }
  // An OPEN that is sent again is answered again, not opened again.
  const stream_lane lane = filler_.attach(*found);
  if (const auto known = by_producer_.find({producer, lane.value}); known != by_producer_.end()) {
    session* one = table_.at(known->second);
    if (one && one->client_nonce == nonce) {
      if (one->state == session_state::open) send_open_ack(*one);
      return;
    }
  }
  if (sink_.is_blocked(found->id)) {
    return refuse(from, packet, wire::reset_reason::storage_blocked, reply_key);
  }
  if (table_.size() >= options_.sessions_max) {
    return refuse(from, packet, wire::reset_reason::sessions_exhausted, reply_key);
  }
  // Without room in a batch there is no answer: the client asks again.
  session* one = make_session(*found, producer, packet.from, packet.listener, now_us);
  if (!one) return;
  one->client_nonce = nonce;
  one->wants_results = (from.header.flags & wire::wants_results) != 0;
  one->key_id = from.header.key_id;
  one->keys = keys;  // of the OPEN, until there is a session
}

session* record_server::make_session(const stream_target& stream, producer_id producer,
                                     const endpoint& peer, std::uint16_t listener,
                                     std::uint64_t now_us) {
  session* one = table_.allocate(now_us);
  if (!one) return nullptr;
  one->lane = filler_.attach(stream);
  if (!filler_.append_open(one->lane, producer, one->slot, now_us)) {
    table_.free(*one);
    return nullptr;
  }
  do {
    one->id = session_id(random_u64());
  } while (one->id.value == 0);
  one->producer = producer;
  one->peer = peer;
  one->listener = listener;
  // An older session of this producer here stays until the new epoch is in force: it may yet fail.
  const auto [known, is_new] = by_producer_.try_emplace({producer, one->lane.value}, one->slot);
  if (!is_new) {
    const session* old = table_.at(known->second);
    if (old) {
      one->replaces = old->id;
      one->replaces_slot = old->slot;
    }
    known->second = one->slot;
  }
  return one;
}

void record_server::opened(session& one, const batch_entry& entry, std::uint64_t now_us) {
  if (entry.result != outcome::committed) {
    counters_.add(counter::handshakes_refused);
    wire::reset_reason reason = wire::reset_reason::sessions_exhausted;
    if (entry.result == outcome::stream_not_found) reason = wire::reset_reason::stream_not_found;
    if (entry.result == outcome::producers_exhausted) {
      reason = wire::reset_reason::producers_exhausted;
    }
    if (entry.result == outcome::shutting_down) reason = wire::reset_reason::shutting_down;
    if (entry.result == outcome::fenced) reason = wire::reset_reason::fenced;
    end_session(one, reason, 0);
    return;
  }
  one.state = session_state::open;
  if (const keyring_entry* key = options_.keys.find(one.key_id)) {
    one.keys = derive_session_keys(key->key, one.id.value, one.client_nonce);
  }
  one.epoch = entry.epoch;
  one.next_record = entry.next_record.value;
  one.durable_record = one.next_record;
  one.announced_record = one.next_record;
  one.results_end = one.next_record;
  one.client_results = one.next_record;
  // One datagram: what is promised grows with what the session does.
  one.credit_limit = limits::datagram_bytes_max;
  table_.touch(one, now_us);
  counters_.add(counter::sessions_opened);
  // Every earlier epoch has ended. A session at another door learns it from its next batch; of one
  // here we know now.
  if (session* old = table_.find(one.replaces_slot, one.replaces)) {
    counters_.add(counter::sessions_fenced);
    end_session(*old, wire::reset_reason::fenced, 0);
  }
  send_open_ack(one);
}

void record_server::send_open_ack(session& one) {
  const wire::open_ack_payload ack{.client_nonce = one.client_nonce,
                                   .next_record = one.next_record,
                                   .credit_limit = one.credit_limit,
                                   .epoch = one.epoch.value,
                                   .datagram_bytes_max = source_.datagram_bytes_max(),
                                   .stream = filler_.target(one.lane).id.value,
                                   .reserved = 0};
  reply(one, wire::datagram_type::open_ack, ack, one.client_nonce);
}

}  // namespace millrace
