#pragma once
/// The record protocol's client side, without threads, sockets or clocks: takes datagrams, builds
/// datagrams, says when it wants to be asked again. The producer's thread drives it; tests can.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "ingest/producer.h"
#include "ingest/producer_buffer.h"
#include "ingest/producer_handshake.h"
#include "ingest/producer_pacer.h"
#include "ingest/producer_path.h"
#include "ingest/producer_results.h"
#include "ingest/producer_stage.h"
#include "ingest/producer_window.h"

namespace millrace {

/// What the engine tells; on its thread, in this order: opened once, outcomes, perhaps failed.
class engine_listener {
 public:
  virtual void opened() = 0;  ///< the first session: the buffer has its first number
  virtual void outcome(const record_outcome& what) = 0;
  /// The stream can never be written to again; why. Outcomes of all records follow.
  virtual void failed(const error& why) = 0;
  virtual void trouble(const std::string& what) = 0;

 protected:
  ~engine_listener() = default;
};

class producer_engine {
 public:
  producer_engine(const producer_options& options, producer_id identity, const endpoint& server,
                  std::uint32_t source_bytes_max, producer_buffer& buffer,
                  engine_listener& listener);

  void start(std::uint64_t now_us) { handshake_.start(now_us); }
  void on_datagram(mutable_byte_view bytes, std::uint64_t now_us);
  /// Builds what is to be sent now into `stage`. Returns the number of datagrams.
  std::uint32_t do_work(std::uint64_t now_us, bool no_linger, producer_stage& stage);
  /// When do_work() has something to do again, if nothing arrives or is appended.
  std::uint64_t deadline_us() const;
  /// The position in the buffer from which on new records are worth a look before that.
  std::uint64_t wake_position() const;
  void build_close(std::uint64_t now_us, producer_stage& stage);
  /// Ends everything with this error; all records without an outcome get it.
  void fail(const error& why);

  bool is_open() const { return is_open_; }
  bool has_failed() const { return has_failed_; }
  /// All records below have their outcome.
  std::uint64_t settled() const { return settled_; }
  producer_statistics statistics() const;

 private:
  struct send_bounds {
    std::uint32_t size = 0;       ///< of a datagram
    std::uint64_t allowance = 0;  ///< of the pacer, for this burst
  };
  // producer_engine.cc: what is sent, and when
  void send_handshake(std::uint64_t now_us, producer_stage& stage);
  void send_records(std::uint64_t now_us, bool no_linger, producer_stage& stage);
  bool send_again(std::uint64_t now_us, std::uint32_t size, producer_stage& stage);
  bool send_new(std::uint64_t now_us, bool no_linger, const send_bounds& bounds,
                producer_stage& stage);
  bool send_new_fragment(std::uint64_t now_us, std::uint32_t size, producer_stage& stage);
  void build_data(const sent_range& what, std::uint64_t now_us, std::uint8_t flags,
                  producer_stage& stage);
  void build_fragment(const sent_range& what, std::uint64_t now_us, std::uint8_t flags,
                      producer_stage& stage);
  void finish(wire::datagram_header header, producer_stage& stage, bool may_fail = false);
  wire::datagram_header header_of(wire::datagram_type type, std::uint64_t number,
                                  std::uint64_t now_us) const;
  std::uint64_t credit_left() const;
  std::uint32_t record_bytes_of(std::uint64_t record) const;

  // producer_timers.cc: probes, heartbeats, silence
  void keep_alive(std::uint64_t now_us, producer_stage& stage);
  void build_heartbeat(std::uint64_t now_us, producer_stage& stage);
  void build_probe(std::uint32_t bytes, std::uint64_t now_us, producer_stage& stage);
  bool is_waiting() const;
  std::uint64_t ask_deadline_us() const;
  void made_progress(std::uint64_t now_us);
  void on_news(const window_news& news, std::uint64_t now_us);

  // producer_answers.cc: what is received
  bool verify(const wire::datagram& from);
  void on_open_ack(const wire::datagram& from, std::uint64_t now_us);
  void on_ack(const wire::ack_payload& ack, std::uint64_t now_us);
  void on_nak(const wire::datagram& from, std::uint64_t now_us);
  void on_results(const wire::datagram& from, std::uint64_t now_us);
  void on_reset(const wire::reset_payload& reset, bool during_handshake, std::uint64_t now_us);
  void reconnect(const std::string& why, std::uint64_t now_us);
  void durable_below(std::uint64_t record, std::uint64_t now_us);
  void settle(std::uint64_t record, const result_place& place);

  const producer_options& options_;
  endpoint server_;
  std::uint32_t datagram_bytes_max_;
  producer_buffer& buffer_;
  engine_listener& listener_;
  aead_engine cipher_;
  producer_handshake handshake_;
  sent_window window_;
  resend_queue again_;
  producer_pacer pacer_;
  path_search path_;
  producer_results results_;

  bool was_opened_ = false;  ///< at least once
  bool is_open_ = false;
  bool has_failed_ = false;
  error failure_{error_code::unavailable, ""};
  session_id session_{};
  std::uint32_t slot_ = 0;
  session_keys keys_;
  std::uint32_t key_id_ = 0;

  // Record numbers: settled_ <= durable_ <= next_ ; received_ <= next_.
  std::uint64_t next_ = 0;         ///< the first never sent in this session
  std::uint32_t next_offset_ = 0;  ///< bytes of it already sent as fragments
  std::uint64_t received_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t settled_ = 0;
  std::uint64_t own_first_ = 0;  ///< records below were there before this producer
  std::uint64_t credit_limit_ = 0;
  std::uint64_t credit_base_ = 0;  ///< position of the session's first record
  std::uint32_t peer_state_ = wire::state_ok;

  std::uint64_t heard_us_ = 0;
  std::uint64_t spoke_us_ = 0;       ///< anything was sent
  std::uint64_t ask_from_us_ = 0;    ///< the later of sending, asking and progress
  std::uint32_t asked_ = 0;          ///< heartbeats since progress
  std::uint32_t asked_unheard_ = 0;  ///< heartbeats since anything was heard
  std::uint32_t resets_ = 0;         ///< sessions ended by the server without progress between
  std::uint64_t linger_deadline_us_ = UINT64_MAX;
  std::uint64_t tell_results_us_ = UINT64_MAX;  ///< when the server is told which have come
  std::uint64_t results_from_us_ = 0;           ///< since when results are missing; 0: none are
  bool is_limited_ = false;                     ///< window, bucket or credit kept records back
  std::uint64_t now_us_ = 0;

  producer_statistics statistics_;
};

}  // namespace millrace
