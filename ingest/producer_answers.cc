/// The producer engine's reading of what the server says.
#include <algorithm>

#include "ingest/producer_engine.h"

namespace millrace {
namespace {

/// Before trying again after the server ended a session, doubling with each time in a row.
constexpr std::uint64_t again_us_min = 10'000;
constexpr std::uint64_t again_us_max = 2'000'000;
/// The server calls our datagrams wrong: once may be a session mixed up, always is a bug.
constexpr std::uint32_t violations_max = 8;
/// The server keeps results, and sends them again, until told that they have arrived.
constexpr std::uint64_t tell_results_after_us = 2'000;

std::string describe(const wire::reset_payload& reset) {
  switch (static_cast<wire::reset_reason>(reset.reason)) {
    case wire::reset_reason::unknown_session:
      return "the server does not know the session (restarted?)";
    case wire::reset_reason::fenced:
      return "a newer producer with this identity has taken over";
    case wire::reset_reason::malformed_record:
      return "the server calls record " + std::to_string(reset.detail) + " malformed";
    case wire::reset_reason::protocol_violation:
      return "the server calls a datagram a violation of the protocol";
    case wire::reset_reason::stream_not_found:
      return "no such stream";
    case wire::reset_reason::sessions_exhausted:
      return "the server has as many sessions as it may";
    case wire::reset_reason::storage_blocked:
      return "the server cannot write its log now";
    case wire::reset_reason::shutting_down:
      return "the server is shutting down";
    case wire::reset_reason::not_permitted:
      return "the server's keys do not permit this producer to write to the stream";
    case wire::reset_reason::reassembly_timeout:
      return "a large record made no progress";
    case wire::reset_reason::idle:
      return "the server forgot the session for its silence";
    case wire::reset_reason::producers_exhausted:
      return "the stream remembers as many producers as it may";
  }
  return "the server ended the session for reason " + std::to_string(reset.reason);
}

/// The error that ends the producer, for reasons that waiting does not mend.
std::optional<error_code> final_code(std::uint32_t reason) {
  switch (static_cast<wire::reset_reason>(reason)) {
    case wire::reset_reason::fenced:
      return error_code::fenced;
    case wire::reset_reason::malformed_record:
      return error_code::invalid_argument;
    case wire::reset_reason::stream_not_found:
      return error_code::not_found;
    case wire::reset_reason::not_permitted:
      return error_code::permission;
    default:
      return std::nullopt;
  }
}

}  // namespace

void producer_engine::on_datagram(mutable_byte_view bytes, std::uint64_t now_us) {
  now_us_ = now_us;
  wire::datagram from;
  if (has_failed_ || wire::parse_datagram(bytes, from) != wire::datagram_fault::none) return;
  if (handshake_.is_active()) {
    if (from.type() == wire::datagram_type::cookie) return handshake_.on_cookie(from, now_us);
    if (from.type() == wire::datagram_type::open_ack) return on_open_ack(from, now_us);
    const bool is_of_session = session_.value != 0 && from.header.session == session_.value;
    if (from.type() == wire::datagram_type::reset && !is_of_session) {
      if (const auto reset = handshake_.on_reset(from)) on_reset(*reset, true, now_us);
      return;
    }
  }
  if (!is_open_ || from.header.session != session_.value || !verify(from)) return;
  heard_us_ = now_us;
  asked_unheard_ = 0;
  // The old session still lives, so the handshake that silence began is not needed.
  if (handshake_.is_active() && !handshake_.has_sent_open()) handshake_.stop();
  switch (from.type()) {
    case wire::datagram_type::ack:
      return on_ack(from.as<wire::ack_payload>(), now_us);
    case wire::datagram_type::nak:
      return on_nak(from, now_us);
    case wire::datagram_type::results:
      return on_results(from, now_us);
    case wire::datagram_type::probe_ack:
      return path_.on_probe_ack(from.as<wire::probe_ack_payload>().datagram_bytes);
    case wire::datagram_type::reset:
      return on_reset(from.as<wire::reset_payload>(), false, now_us);
    default:
      return;
  }
}

bool producer_engine::verify(const wire::datagram& from) {
  if (key_id_ == 0) return wire::verify_plain(from) == wire::datagram_fault::none;
  if (from.header.key_id == key_id_) {
    return wire::verify_keyed(from, keys_.to_client, cipher_) == wire::datagram_fault::none;
  }
  // A restarted server has lost the session's key; all it can say, it says unsealed.
  return from.header.key_id == 0 && from.type() == wire::datagram_type::reset &&
         wire::verify_plain(from) == wire::datagram_fault::none &&
         from.as<wire::reset_payload>().reason ==
             static_cast<std::uint32_t>(wire::reset_reason::unknown_session);
}

void producer_engine::on_open_ack(const wire::datagram& from, std::uint64_t now_us) {
  const auto opened = handshake_.on_open_ack(from);
  if (!opened) return;
  const std::uint64_t next = opened->next_record.value;
  if (!was_opened_) {
    buffer_.start_at(next);
    own_first_ = durable_ = next;
    settled_ = next;
    if (options_.wants_results && options_.results_from) {
      settled_ = std::min(options_.results_from->value, next);
    }
    results_.start_at(settled_);
  } else if (next < buffer_.begin()) {
    return fail({error_code::corrupt, "the server has lost records " + std::to_string(next) +
                                          " to " + std::to_string(buffer_.begin() - 1) +
                                          ", which it had called durable"});
  } else if (next > buffer_.end()) {
    return fail({error_code::fenced, "another producer with this identity has written records " +
                                         std::to_string(buffer_.end()) + " to " +
                                         std::to_string(next - 1)});
  }
  session_ = opened->session;
  slot_ = opened->slot;
  keys_ = opened->keys;
  window_.restart();
  again_.clear();
  pacer_.restart();
  path_.restart(std::min(datagram_bytes_max_, opened->datagram_bytes_max), now_us);
  next_ = received_ = next;
  next_offset_ = 0;
  credit_base_ = buffer_.position(next);
  credit_limit_ = opened->credit_limit;
  peer_state_ = wire::state_ok;
  is_open_ = true;
  heard_us_ = ask_from_us_ = spoke_us_ = now_us;
  asked_ = asked_unheard_ = 0;
  is_limited_ = false;
  results_from_us_ = 0;
  // Results of what became durable meanwhile, or before this producer, have to be asked for.
  tell_results_us_ = options_.wants_results && results_.next() < next ? now_us : UINT64_MAX;
  if (!was_opened_) {
    was_opened_ = true;
    listener_.opened();
  }
  durable_below(next, now_us);
}

void producer_engine::on_ack(const wire::ack_payload& ack, std::uint64_t now_us) {
  // About records never sent: nonsense.
  if (ack.received_record > next_ || ack.durable_record > next_) return;
  const window_news news = window_.on_ack(ack, now_us, again_);
  bool progress = news.acked_bytes > 0;
  if (ack.received_record > received_) {
    received_ = ack.received_record;
    progress = true;
  }
  if (ack.credit_limit > credit_limit_) {
    credit_limit_ = ack.credit_limit;
    progress = true;
  }
  if (ack.durable_record > durable_) {
    durable_below(ack.durable_record, now_us);
    progress = true;
  }
  peer_state_ = ack.state;
  on_news(news, now_us);
  if (progress) made_progress(now_us);
}

void producer_engine::on_nak(const wire::datagram& from, std::uint64_t now_us) {
  ++statistics_.naks;
  const auto head = from.as<wire::nak_payload>();
  const std::uint64_t held = (from.payload.size() - sizeof head) / sizeof(wire::nak_range);
  const std::uint64_t ranges = std::min<std::uint64_t>(head.range_count, held);
  for (std::uint64_t i = 0; i < ranges; ++i) {
    auto missing =
        load<wire::nak_range>(from.payload.data() + sizeof head + i * sizeof(wire::nak_range));
    missing.first_record = std::max(missing.first_record, received_);
    on_news(window_.on_nak(missing, next_, now_us, again_), now_us);
  }
}

void producer_engine::on_results(const wire::datagram& from, std::uint64_t now_us) {
  if (!options_.wants_results) return;
  const auto head = from.as<wire::results_payload>();
  const std::uint64_t first = from.header.first_record;
  if (first + head.record_count > next_ || first + head.record_count < first) return;
  const std::uint64_t before = results_.next();
  // Results speak of durable records only, so they may also be the first word of that.
  if (first <= durable_ && first + head.record_count > durable_) {
    durable_below(first + head.record_count, now_us);
  }
  if (!results_.add(first, from.payload) || results_.next() == before) return;
  results_from_us_ = 0;
  if (tell_results_us_ == UINT64_MAX) tell_results_us_ = now_us + tell_results_after_us;
  buffer_.forget_below(settled_);
  made_progress(now_us);
}

void producer_engine::on_reset(const wire::reset_payload& reset, bool during_handshake,
                               std::uint64_t now_us) {
  const std::string why = describe(reset);
  const bool is_fenced = reset.reason == static_cast<std::uint32_t>(wire::reset_reason::fenced);
  const bool is_violation =
      reset.reason == static_cast<std::uint32_t>(wire::reset_reason::protocol_violation);
  auto code = final_code(reset.reason);
  // An OPEN of ours that was given up may have arrived after all.
  if (is_fenced && handshake_.take_abandoned(now_us)) code.reset();
  if (is_violation && resets_ >= violations_max) code = error_code::unavailable;
  if (code) return fail({*code, "stream '" + options_.stream + "': " + why});
  if (during_handshake) {
    listener_.trouble(why);
    handshake_.start(now_us + std::min(again_us_min << std::min(resets_++, 8u), again_us_max));
    return;
  }
  is_open_ = false;
  reconnect(why, now_us);
}

void producer_engine::reconnect(const std::string& why, std::uint64_t now_us) {
  listener_.trouble(why);
  ++statistics_.reconnects;
  peer_state_ = wire::state_ok;  // whatever it was, it is not known now
  handshake_.start(
      now_us + (resets_ == 0 ? 0 : std::min(again_us_min << std::min(resets_, 8u), again_us_max)));
  ++resets_;
}

void producer_engine::durable_below(std::uint64_t record, std::uint64_t now_us) {
  durable_ = std::max(durable_, record);
  received_ = std::max(received_, durable_);
  if (durable_ > buffer_.begin()) {
    statistics_.record_bytes_durable +=
        buffer_.position(durable_) - buffer_.position(buffer_.begin());
    statistics_.records_durable += durable_ - buffer_.begin();
    buffer_.free_below(durable_);
  }
  now_us_ = now_us;
  if (options_.wants_results) return;
  while (settled_ < durable_)
    settle(settled_, {});
  buffer_.forget_below(settled_);
}

void producer_engine::settle(std::uint64_t record, const result_place& place) {
  record_outcome what;
  what.number = record_number(record);
  what.durable = true;
  what.has_place = place.is_known;
  what.shard = place.shard;
  what.shard_created_s = place.shard_created_s;
  what.index = place.index;
  what.arrival_s = place.arrival_s;
  if (record >= own_first_) {
    what.latency_us = static_cast<std::uint32_t>(now_us_) - buffer_.time_us(record);
  }
  settled_ = record + 1;
  listener_.outcome(what);
}

}  // namespace millrace
