#include "ingest/producer_handshake.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

constexpr std::uint64_t pause_us_min = 100'000;
constexpr std::uint64_t pause_us_max = 2'000'000;
/// An OPEN unanswered so often: its cookie may have expired, or the server been restarted.
constexpr std::uint32_t opens_max = 5;
/// No network keeps a datagram for longer, nor does a cookie live longer.
constexpr std::uint64_t abandoned_us_max = 60'000'000;
/// Whatever a reply is, a HELLO or OPEN of this size is not smaller.
constexpr std::uint32_t padded_bytes = 512;

}  // namespace

producer_handshake::producer_handshake(const producer_options& options, producer_id identity,
                                       std::uint32_t datagram_bytes_max, aead_engine& cipher)
    : options_(options),
      identity_(identity),
      datagram_bytes_max_(datagram_bytes_max),
      cipher_(cipher),
      datagram_(padded_bytes) {}

void producer_handshake::start(std::uint64_t start_us) {
  unanswered_ = 0;
  begin_hello(start_us);
}

void producer_handshake::begin_hello(std::uint64_t at_us) {
  if (phase_ == phase::open && sent_in_phase_ > 0) abandoned_us_ = at_us;
  phase_ = phase::hello;
  client_nonce_ = random_u64();
  sent_in_phase_ = 0;
  pause_us_ = pause_us_min;
  next_us_ = at_us;
  build_hello();
}

bool producer_handshake::take_abandoned(std::uint64_t now_us) {
  const std::uint64_t since_us = std::exchange(abandoned_us_, 0);
  return since_us != 0 && now_us < since_us + abandoned_us_max;
}

void producer_handshake::build_hello() {
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::hello);
  const wire::hello_payload payload{.client_nonce = client_nonce_, .reserved = 0};
  const std::uint32_t padding =
      padded_bytes - wire::datagram_bytes(sizeof payload, /*is_keyed=*/false);
  datagram_bytes_ =
      wire::seal_datagram(datagram_.data(), header, payload, nullptr, nullptr, padding);
}

void producer_handshake::build_open(const wire::cookie_payload& cookie) {
  open_number_ = random_u64();
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::open);
  header.flags = options_.wants_results ? wire::wants_results : 0;
  header.packet_number = open_number_;
  header.first_record = client_nonce_;
  wire::open_payload payload{};
  payload.cookie = cookie;
  payload.producer_high = high_bits(identity_.value);
  payload.producer_low = low_bits(identity_.value);
  payload.datagram_bytes_max = datagram_bytes_max_;
  payload.stream_name_bytes = static_cast<std::uint16_t>(options_.stream.size());
  std::copy(options_.stream.begin(), options_.stream.end(), payload.stream_name);
  const bool is_keyed = options_.key.has_value();
  const std::uint32_t padding = padded_bytes - wire::datagram_bytes(sizeof payload, is_keyed);
  if (!is_keyed) {
    datagram_bytes_ =
        wire::seal_datagram(datagram_.data(), header, payload, nullptr, nullptr, padding);
    return;
  }
  header.key_id = options_.key->key_id;
  const session_keys keys = derive_open_keys(*options_.key, open_number_, client_nonce_);
  datagram_bytes_ =
      wire::seal_datagram(datagram_.data(), header, payload, &keys.to_server, &cipher_, padding);
}

byte_view producer_handshake::take_datagram(std::uint64_t now_us) {
  if (phase_ == phase::none || now_us < next_us_) return {};
  if (phase_ == phase::open && sent_in_phase_ >= opens_max) begin_hello(now_us);
  ++sent_in_phase_;
  ++unanswered_;
  next_us_ = now_us + pause_us_;
  pause_us_ = std::min(pause_us_ * 2, pause_us_max);
  return {datagram_.data(), datagram_bytes_};
}

std::uint64_t producer_handshake::deadline_us() const {
  return phase_ == phase::none ? UINT64_MAX : next_us_;
}

void producer_handshake::on_cookie(const wire::datagram& from, std::uint64_t now_us) {
  if (phase_ != phase::hello || from.header.key_id != 0) return;
  const auto cookie = from.as<wire::cookie_payload>();
  if (cookie.client_nonce != client_nonce_) return;
  if (wire::verify_plain(from) != wire::datagram_fault::none) return;
  phase_ = phase::open;
  unanswered_ = 0;
  sent_in_phase_ = 0;
  pause_us_ = pause_us_min;
  next_us_ = now_us;
  build_open(cookie);
}

std::optional<opened_session> producer_handshake::on_open_ack(const wire::datagram& from) {
  if (phase_ != phase::open || from.header.session == 0) return std::nullopt;
  opened_session made;
  made.session = session_id(from.header.session);
  made.slot = from.header.session_slot;
  if (options_.key) {
    if (from.header.key_id != options_.key->key_id) return std::nullopt;
    made.keys = derive_session_keys(*options_.key, from.header.session, client_nonce_);
    if (wire::verify_keyed(from, made.keys.to_client, cipher_) != wire::datagram_fault::none) {
      return std::nullopt;
    }
  } else if (wire::verify_plain(from) != wire::datagram_fault::none) {
    return std::nullopt;
  }
  const auto payload = from.as<wire::open_ack_payload>();
  if (payload.client_nonce != client_nonce_) return std::nullopt;
  made.next_record = record_number(payload.next_record);
  made.credit_limit = payload.credit_limit;
  made.datagram_bytes_max = payload.datagram_bytes_max;
  phase_ = phase::none;
  return made;
}

std::optional<wire::reset_payload> producer_handshake::on_reset(const wire::datagram& from) {
  if (phase_ == phase::none) return std::nullopt;
  // The answer to a HELLO cannot be sealed; the answer to a keyed OPEN must be.
  if (phase_ == phase::open && options_.key) {
    if (from.header.key_id != options_.key->key_id) return std::nullopt;
    // Refused at once, or when the log refused the new epoch: then the session had its name
    // already.
    const session_keys keys =
        from.header.session == 0
            ? derive_open_keys(*options_.key, open_number_, client_nonce_)
            : derive_session_keys(*options_.key, from.header.session, client_nonce_);
    if (wire::verify_keyed(from, keys.to_client, cipher_) != wire::datagram_fault::none) {
      return std::nullopt;
    }
  } else if (wire::verify_plain(from) != wire::datagram_fault::none) {
    return std::nullopt;
  }
  // Which OPEN it answers: a stranger who does not see our datagrams cannot name it.
  if (from.header.first_record != client_nonce_) return std::nullopt;
  return from.as<wire::reset_payload>();
}

}  // namespace millrace
