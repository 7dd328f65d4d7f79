// What the server says: ACK with credit, NAK, RESET.
#include <algorithm>

#include "ingest/record_server.h"

namespace millrace {
namespace {

constexpr std::uint64_t nak_retry_max_us = 200'000;
/// A large record that gets a fragment now and then is on its way, not lost.
constexpr std::uint64_t large_progress_us = 20'000;
/// A few at once to unknown sessions, whatever the rate.
constexpr std::uint64_t reset_burst = 64;

}  // namespace

std::uint32_t record_server::seal_reply(session& one, std::byte* at, wire::datagram_header header) {
  header.key_id = one.key_id;
  if (one.state == session_state::opening) {
    // The client knows no session yet; this answers its OPEN, under the OPEN's keys.
    header.packet_number = random_u64();
  } else {
    header.session = one.id.value;
    header.session_slot = options_.door << 24 | one.slot;
    header.packet_number = one.next_packet++;
  }
  const bool is_keyed = one.key_id != 0;
  return wire::seal_datagram(at, header, is_keyed ? &one.keys.to_client : nullptr, &engine_);
}

template <class Payload>
void record_server::reply(session& one, wire::datagram_type type, const Payload& payload,
                          std::uint64_t first_record) {
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(type);
  header.first_record = first_record;
  header.payload_bytes = sizeof payload;
  std::byte* at = outbox_.claim();
  store(at + sizeof header, payload);
  outbox_.commit(seal_reply(one, at, header), one.peer, one.listener);
}

template void record_server::reply(session&, wire::datagram_type, const wire::probe_ack_payload&,
                                   std::uint64_t);
template void record_server::reply(session&, wire::datagram_type, const wire::open_ack_payload&,
                                   std::uint64_t);

void record_server::ack_soon(session& one, std::uint64_t due_us) {
  if (!one.is_ack_due) {
    one.is_ack_due = true;
    one.ack_due_us = due_us;
    ack_list_.push_back(one.slot);
  }
  one.ack_due_us = std::min(one.ack_due_us, due_us);
}

void record_server::send_acks(std::uint64_t now_us) {
  for (std::size_t i = ack_list_.size(); i-- > 0;) {
    session* one = table_.at(ack_list_[i]);
    const bool is_due = one && one->is_ack_due;
    if (is_due && one->ack_due_us > now_us) continue;
    if (is_due) {
      if (one->work && !one->work->results.empty()) send_results(*one);
      const bool is_blocked = filler_.is_blocked(one->lane);
      send_ack(*one, now_us, is_blocked ? wire::state_storage_blocked : wire::state_ok);
      // What did not fit in this burst goes with the next ack.
      if (one->work && one->work->results_sent < one->work->results.size()) {
        ack_soon(*one, now_us + options_.ack_delay_us);
      }
    }
    ack_list_[i] = ack_list_.back();
    ack_list_.pop_back();
  }
}

void record_server::send_ack(session& one, std::uint64_t now_us, wire::ack_state state) {
  one.is_ack_due = false;
  one.packets_unacked = 0;
  if (state == wire::state_ok) grow_credit(one);
  wire::ack_payload ack{};
  ack.received_record = one.next_record;
  ack.durable_record = one.durable_record;
  ack.credit_limit = one.credit_limit;
  ack.largest_packet = one.packets.largest();
  ack.results_record = results_sent(one);
  ack.echo_time_us = one.echo_time_us;
  ack.ack_delay_us =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(now_us - one.echo_arrival_us, UINT32_MAX));
  ack.state = state;
  one.packets.describe(ack.packets);
  reply(one, wire::datagram_type::ack, ack);
  counters_.add(counter::acks_sent);
}

/// Credit is drawn on the arena that is really free, in record bytes by what buffers lately held of
/// them, shared among the sessions that are active. Promising too much does no harm (a datagram
/// without room is sent again), promising too little could stop a large record for ever: so one
/// record of the largest size is always allowed.
void record_server::grow_credit(session& one) {
  if (!one.has_spoken || is_closing_) return;
  const std::uint64_t results_held = one.work ? one.work->results.size() : 0;
  if (results_held > options_.results_chunks_max / 4) return;  // take your results first
  const double free_share = source_now_.buffers == 0
                                ? 0.0
                                : static_cast<double>(source_now_.buffers_free) /
                                      static_cast<double>(source_now_.buffers);
  const double room = static_cast<double>(options_.arena_bytes) * free_share *
                      record_bytes_per_arena_byte_ / static_cast<double>(active_sessions_);
  const std::uint64_t least = align_up(limits::record_bytes_max, record_alignment);
  const std::uint64_t window = std::clamp(static_cast<std::uint64_t>(room), least,
                                          std::max(least, options_.session_credit_bytes_max));
  // What was promised is never taken back.
  one.credit_limit = std::max(one.credit_limit, one.durable_bytes + window);
}

void record_server::send_nak(session& one, std::uint64_t now_us) {
  session_work& work = *one.work;
  work.nak_wait_us = work.nak_wait_us == 0 ? options_.nak_retry_us
                                           : std::min(2 * work.nak_wait_us, nak_retry_max_us);
  work.nak_due_us = now_us + work.nak_wait_us;
  std::byte* at = outbox_.claim();
  std::byte* ranges = at + sizeof(wire::datagram_header) + sizeof(wire::nak_payload);
  std::uint32_t count = 0;
  std::uint64_t cursor = one.next_record;
  const auto add = [&](std::uint64_t until) {
    if (work.large && work.large->record() == cursor &&
        (work.large->is_complete() || now_us - work.large->progress_us() < large_progress_us)) {
      ++cursor;
    }
    if (cursor >= until || count == wire::nak_ranges_max) return;
    store(ranges + count * sizeof(wire::nak_range), wire::nak_range{cursor, until - 1});
    ++count;
  };
  for (const early_datagram& early : work.early) {
    add(early.first_record);
    cursor = std::max(cursor, early.end());
  }
  add(one.announced_record);
  if (count == 0) return;
  store(at + sizeof(wire::datagram_header), wire::nak_payload{.range_count = count, .reserved = 0});
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::nak);
  header.first_record = one.next_record;
  header.payload_bytes =
      static_cast<std::uint32_t>(sizeof(wire::nak_payload) + count * sizeof(wire::nak_range));
  outbox_.commit(seal_reply(one, at, header), one.peer, one.listener);
  counters_.add(counter::naks_sent);
}

void record_server::end_session(session& one, wire::reset_reason reason, std::uint64_t detail) {
  const wire::reset_payload reset{
      .reason = static_cast<std::uint32_t>(reason), .reserved = 0, .detail = detail};
  // Before OPEN_ACK the client recognises its nonce.
  reply(one, wire::datagram_type::reset, reset, one.client_nonce);
  counters_.add(counter::resets_sent);
  drop(one);
}

void record_server::reset_unknown(const wire::datagram& from, const received_packet& packet,
                                  std::uint64_t now_us) {
  counters_.add(counter::datagrams_unknown_session);
  const std::uint32_t bytes = wire::datagram_bytes(sizeof(wire::reset_payload), false);
  const bool is_answerable =
      from.bytes.size() >= bytes && from.type() != wire::datagram_type::reset &&
      (from.header.key_id != 0 || wire::verify_plain(from) == wire::datagram_fault::none);
  // A token bucket kept as the time up to which tokens are spent.
  const std::uint64_t token_us = 1'000'000 / std::max(1u, options_.resets_per_second);
  const std::uint64_t full_us = token_us * reset_burst;
  reset_tokens_us_ = std::max(reset_tokens_us_, now_us > full_us ? now_us - full_us : 0);
  if (!is_answerable || reset_tokens_us_ + token_us > now_us) return;
  reset_tokens_us_ += token_us;
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::reset);
  header.session = from.header.session;
  header.session_slot = from.header.session_slot;
  header.packet_number = random_u64();
  const wire::reset_payload reset{
      .reason = static_cast<std::uint32_t>(wire::reset_reason::unknown_session),
      .reserved = 0,
      .detail = 0};
  outbox_.commit(wire::seal_datagram(outbox_.claim(), header, reset, nullptr, nullptr), packet.from,
                 packet.listener);
  counters_.add(counter::resets_sent);
}

}  // namespace millrace
