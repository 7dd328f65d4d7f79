#include "ingest/producer_engine.h"

#include <algorithm>

#include "base/record_format.h"

namespace millrace {
namespace {

/// A datagram at least this full is not held back for company.
constexpr std::uint64_t full_enough(std::uint64_t payload_bytes) {
  return payload_bytes / 8 * 7;
}
/// The sender's thread is not woken for less than this, linger aside: a burst a system call.
constexpr std::uint64_t wake_bytes = 32 * limits::kib;

}  // namespace

producer_engine::producer_engine(const producer_options& options, producer_id identity,
                                 const endpoint& server, std::uint32_t source_bytes_max,
                                 producer_buffer& buffer, engine_listener& listener)
    : options_(options),
      server_(server),
      datagram_bytes_max_(std::clamp(std::min(options.datagram_bytes_max, source_bytes_max),
                                     limits::datagram_bytes_min, limits::datagram_bytes_max)),
      buffer_(buffer),
      listener_(listener),
      handshake_(options, identity, source_bytes_max, cipher_),
      results_([this](std::uint64_t record, const result_place& place) { settle(record, place); }),
      key_id_(options.key ? options.key->key_id : 0) {}

std::uint32_t producer_engine::do_work(std::uint64_t now_us, bool no_linger,
                                       producer_stage& stage) {
  now_us_ = now_us;
  if (has_failed_ || !stage.has_room()) return 0;
  const std::uint64_t before = statistics_.datagrams_sent;
  if (handshake_.is_active()) send_handshake(now_us, stage);
  if (is_open_) {
    on_news(window_.on_time(now_us, again_), now_us);
    send_records(now_us, no_linger, stage);
    keep_alive(now_us, stage);
  }
  return static_cast<std::uint32_t>(statistics_.datagrams_sent - before);
}

void producer_engine::send_handshake(std::uint64_t now_us, producer_stage& stage) {
  const byte_view datagram = handshake_.take_datagram(now_us);
  if (datagram.empty()) return;
  // From here on the server may give out a new epoch, which ends what was open.
  if (handshake_.has_sent_open()) is_open_ = false;
  std::copy(datagram.begin(), datagram.end(), stage.place());
  stage.add(static_cast<std::uint32_t>(datagram.size()), server_);
  ++statistics_.datagrams_sent;
}

void producer_engine::send_records(std::uint64_t now_us, bool no_linger, producer_stage& stage) {
  is_limited_ = false;
  linger_deadline_us_ = UINT64_MAX;
  again_.trim_below(received_);
  std::uint64_t allowance = pacer_.allowance(window_.bytes_in_flight(), window_.trip(), now_us);
  const std::uint32_t size = path_.datagram_bytes();
  while (stage.has_room() && !has_failed_) {
    if (allowance == 0 || window_.is_full()) {
      is_limited_ = !again_.empty() || next_ < buffer_.end();
      return;
    }
    const std::uint64_t before = window_.bytes_in_flight();
    if (!send_again(now_us, size, stage) &&
        !send_new(now_us, no_linger, {.size = size, .allowance = allowance}, stage)) {
      return;
    }
    const std::uint64_t sent = window_.bytes_in_flight() - before;
    pacer_.sent(sent);
    allowance -= std::min(allowance, sent);
    if (before == 0) ask_from_us_ = now_us;
  }
}

bool producer_engine::send_again(std::uint64_t now_us, std::uint32_t size, producer_stage& stage) {
  if (again_.empty()) return false;
  const sent_range front = again_.front();
  const std::uint32_t room = wire::payload_bytes_max(size, key_id_ != 0);
  const std::uint32_t fragment_room = (room - sizeof(wire::fragment_payload)) / 8 * 8;
  if (front.is_fragment()) {
    sent_range piece = front;
    piece.bytes = std::min(front.bytes, fragment_room);
    build_fragment(piece, now_us, wire::ack_now, stage);
    again_.take(piece.bytes);
    ++statistics_.datagrams_resent;
    return true;
  }
  const std::uint32_t count = buffer_.count_within(front.first, front.end(), room);
  if (count > 0) {
    // What is lost holds up everything behind it, so its ack is wanted at once.
    build_data({.first = front.first, .count = count}, now_us, wire::ack_now, stage);
    again_.take(count);
    ++statistics_.datagrams_resent;
    return true;
  }
  // Sent whole when the path carried more: now in pieces.
  again_.take(1);
  again_.add(
      {.first = front.first, .count = 0, .offset = 0, .bytes = record_bytes_of(front.first)});
  return true;
}

std::uint64_t producer_engine::credit_left() const {
  const std::uint64_t used = buffer_.position(next_) - credit_base_;
  return credit_limit_ > used ? credit_limit_ - used : 0;
}

bool producer_engine::send_new(std::uint64_t now_us, bool no_linger, const send_bounds& bounds,
                               producer_stage& stage) {
  const std::uint64_t end = buffer_.end();
  if (next_ >= end) return false;
  const std::uint64_t room = wire::payload_bytes_max(bounds.size, key_id_ != 0);
  const std::uint64_t credit = credit_left();
  const std::uint32_t count =
      next_offset_ > 0 ? 0 : buffer_.count_within(next_, end, std::min(room, credit));
  if (count == 0) return send_new_fragment(now_us, bounds.size, stage);
  const std::uint64_t bytes = buffer_.position(next_ + count) - buffer_.position(next_);
  const bool is_last = next_ + count == end;
  if (is_last && !no_linger && bytes < full_enough(room)) {
    const auto age = static_cast<std::uint32_t>(now_us) - buffer_.time_us(next_);
    if (age < options_.linger_us) {
      linger_deadline_us_ = now_us + options_.linger_us - age;
      return false;
    }
  }
  // Sending stops after this one: its ack is what it goes on by.
  const bool is_stuck_after =
      bounds.allowance <= bytes ||
      (!is_last && buffer_.stride(next_ + count) > std::min(credit - bytes, room));
  const std::uint8_t flags = (is_last && no_linger) || is_stuck_after ? wire::ack_now : 0;
  const std::uint64_t first = next_;
  next_ += count;
  build_data({.first = first, .count = count}, now_us, flags, stage);
  return true;
}

/// The next record is larger than a datagram, or than the credit that is left.
bool producer_engine::send_new_fragment(std::uint64_t now_us, std::uint32_t size,
                                        producer_stage& stage) {
  const std::uint32_t room = wire::payload_bytes_max(size, key_id_ != 0);
  const std::uint32_t fragment_room =
      (room - sizeof(wire::fragment_payload)) / record_alignment * record_alignment;
  // The server puts one large record together at a time, and only with credit for all of it.
  if (buffer_.stride(next_) <= room || buffer_.stride(next_) > credit_left() || received_ < next_) {
    if (next_offset_ == 0) {
      is_limited_ = true;
      return false;
    }
  }
  const std::uint32_t whole = record_bytes_of(next_);
  const std::uint32_t bytes = std::min(whole - next_offset_, fragment_room);
  const sent_range piece{.first = next_, .count = 0, .offset = next_offset_, .bytes = bytes};
  next_offset_ += bytes;
  const bool is_last = next_offset_ >= whole;
  if (is_last) {
    ++next_;
    next_offset_ = 0;
  }
  build_fragment(piece, now_us, is_last ? wire::ack_now : 0, stage);
  return true;
}

std::uint32_t producer_engine::record_bytes_of(std::uint64_t record) const {
  return load<record_header>(buffer_.bytes(record, record + 1).data()).record_bytes;
}

wire::datagram_header producer_engine::header_of(wire::datagram_type type, std::uint64_t number,
                                                 std::uint64_t now_us) const {
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(type);
  header.session = session_.value;
  header.session_slot = slot_;
  header.key_id = key_id_;
  header.packet_number = number;
  header.send_time_us = static_cast<std::uint32_t>(now_us);
  return header;
}

void producer_engine::build_data(const sent_range& what, std::uint64_t now_us, std::uint8_t flags,
                                 producer_stage& stage) {
  const byte_view records = buffer_.bytes(what.first, what.end());
  const auto bytes = static_cast<std::uint32_t>(records.size());
  const std::uint64_t number =
      window_.sent(what, wire::datagram_bytes(bytes, key_id_ != 0), now_us);
  wire::datagram_header header = header_of(wire::datagram_type::data, number, now_us);
  header.flags = flags;
  header.record_count = static_cast<std::uint16_t>(what.count);
  header.first_record = what.first;
  header.payload_bytes = bytes;
  std::memcpy(stage.place() + sizeof header, records.data(), bytes);
  finish(header, stage);
}

void producer_engine::build_fragment(const sent_range& what, std::uint64_t now_us,
                                     std::uint8_t flags, producer_stage& stage) {
  const byte_view record = buffer_.bytes(what.first, what.first + 1);
  const wire::fragment_payload head{.record_bytes = record_bytes_of(what.first),
                                    .offset = what.offset};
  const auto bytes = static_cast<std::uint32_t>(sizeof head) + what.bytes;
  const std::uint64_t number =
      window_.sent(what, wire::datagram_bytes(bytes, key_id_ != 0), now_us);
  wire::datagram_header header = header_of(wire::datagram_type::fragment, number, now_us);
  header.flags = flags;
  header.first_record = what.first;
  header.payload_bytes = bytes;
  store(stage.place() + sizeof header, head);
  std::memcpy(stage.place() + sizeof header + sizeof head, record.data() + what.offset, what.bytes);
  finish(header, stage);
}

void producer_engine::finish(wire::datagram_header header, producer_stage& stage, bool may_fail) {
  const bool is_keyed = key_id_ != 0;
  const std::uint32_t bytes = wire::seal_datagram(
      stage.place(), header, is_keyed ? &keys_.to_server : nullptr, is_keyed ? &cipher_ : nullptr);
  stage.add(bytes, server_, may_fail);
  ++statistics_.datagrams_sent;
  spoke_us_ = now_us_;
}

std::uint64_t producer_engine::wake_position() const {
  if (!is_open_ || is_limited_) return UINT64_MAX;
  const std::uint64_t from = buffer_.position(next_);
  if (linger_deadline_us_ == UINT64_MAX) return from + 1;
  const std::uint32_t room = wire::payload_bytes_max(path_.datagram_bytes(), key_id_ != 0);
  return from + std::max<std::uint64_t>(full_enough(room), wake_bytes);
}

void producer_engine::fail(const error& why) {
  if (has_failed_) return;
  has_failed_ = true;
  is_open_ = false;
  handshake_.stop();
  failure_ = why;
  if (was_opened_) results_.give_up_below(options_.wants_results ? durable_ : 0);
  listener_.failed(why);
  for (const std::uint64_t end = buffer_.end(); settled_ < end;) {
    record_outcome what;
    what.number = record_number(settled_++);
    what.reason = failure_.message();
    listener_.outcome(what);
  }
  buffer_.free_below(settled_);
  buffer_.forget_below(settled_);
}

void producer_engine::build_close(std::uint64_t now_us, producer_stage& stage) {
  if (!is_open_ || !stage.has_room()) return;
  wire::datagram_header header =
      header_of(wire::datagram_type::close, window_.next_number(now_us), now_us);
  finish(header, stage);
}

producer_statistics producer_engine::statistics() const {
  producer_statistics now = statistics_;
  now.rtt_us = window_.trip().smoothed_us();
  now.datagram_bytes = path_.datagram_bytes();
  now.storage_blocked = peer_state_ == wire::state_storage_blocked;
  return now;
}

}  // namespace millrace
