#pragma once
/// A producer's way into a session: HELLO, COOKIE, OPEN, OPEN_ACK; with patience, and as often as
/// it takes.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ingest/producer.h"
#include "ingest/wire_codec.h"

namespace millrace {

/// What OPEN_ACK brought.
struct opened_session {
  session_id session{};
  std::uint32_t slot = 0;
  session_keys keys;
  record_number next_record{};
  std::uint64_t credit_limit = 0;
  std::uint32_t datagram_bytes_max = 0;
};

/// Times are given, nothing is read; one thread.
class producer_handshake {
 public:
  /// `datagram_bytes_max`: the largest that this side can receive.
  producer_handshake(const producer_options& options, producer_id identity,
                     std::uint32_t datagram_bytes_max, aead_engine& cipher);

  /// Begins at `start_us`; a handshake under way is abandoned.
  void start(std::uint64_t start_us);
  void stop() { phase_ = phase::none; }
  bool is_active() const { return phase_ != phase::none; }
  /// The last OPEN may still reach the server, so the session that was in use may end any time.
  bool has_sent_open() const { return phase_ == phase::open; }
  /// True once after an OPEN was given up without an answer, and not long ago: it may have arrived
  /// late, and its epoch would fence the session that was opened instead.
  bool take_abandoned(std::uint64_t now_us);

  /// The datagram to send now, or nothing.
  byte_view take_datagram(std::uint64_t now_us);
  std::uint64_t deadline_us() const;
  /// Datagrams sent since start() without an answer.
  std::uint32_t unanswered() const { return unanswered_; }

  void on_cookie(const wire::datagram& from, std::uint64_t now_us);
  /// The session, when `from` is the verified answer to this handshake's OPEN.
  std::optional<opened_session> on_open_ack(const wire::datagram& from);
  /// The reason, when `from` is a refusal of this handshake.
  std::optional<wire::reset_payload> on_reset(const wire::datagram& from);

 private:
  enum class phase : std::uint8_t { none, hello, open };
  void begin_hello(std::uint64_t at_us);
  void build_hello();
  void build_open(const wire::cookie_payload& cookie);

  const producer_options& options_;
  producer_id identity_;
  std::uint32_t datagram_bytes_max_;
  aead_engine& cipher_;
  phase phase_ = phase::none;
  std::uint64_t client_nonce_ = 0;
  std::uint64_t open_number_ = 0;  ///< the OPEN's random packet number
  std::uint64_t next_us_ = 0;
  std::uint64_t pause_us_ = 0;
  std::uint32_t sent_in_phase_ = 0;
  std::uint32_t unanswered_ = 0;
  std::uint64_t abandoned_us_ = 0;   ///< when an OPEN was given up; 0: none
  std::vector<std::byte> datagram_;  ///< what is sent, also again, byte for byte
  std::uint32_t datagram_bytes_ = 0;
};

}  // namespace millrace
