#pragma once
/// The record protocol at one door (docs/wire_format.md): handshakes, sessions, release in record
/// order into batches, acks. Driven from outside with explicit time: no thread, no clock, no
/// socket.
#include <array>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bounded_queue.h"
#include "base/counters.h"
#include "base/limits.h"
#include "ingest/batch_filler.h"
#include "ingest/cookie.h"
#include "ingest/outbox.h"
#include "ingest/packet_handler.h"
#include "ingest/reassembly.h"
#include "ingest/result_lookup.h"
#include "ingest/session.h"
#include "ingest/wire_codec.h"

namespace millrace {

/// Takes a datagram whose session is at another door of this process.
class packet_forwarder {
 public:
  enum class outcome : std::uint8_t {
    forwarded,
    full,     ///< its inbox is; the packet is lost
    no_door,  ///< of that number
  };
  /// Copies the packet.
  virtual outcome forward(std::uint32_t door, const received_packet& packet) = 0;

 protected:
  ~packet_forwarder() = default;
};

struct record_server_options {
  std::uint32_t door = 0;  ///< number of this door, below 256: part of every session_slot
  keyring keys;
  std::uint32_t sessions_max = limits::sessions_max;
  std::uint64_t session_idle_us = limits::session_idle_us;
  std::uint32_t early_datagrams_max = limits::early_datagrams_max;
  /// Early datagrams are kept only while more than this many per cent of the buffers are free.
  std::uint32_t reserve_percent = 25;
  std::uint64_t arena_bytes =
      64 * limits::mib;  ///< of the source's buffers: what credit is drawn on
  std::uint64_t session_credit_bytes_max = limits::session_credit_bytes_max;
  std::uint64_t ack_delay_us = 200;    ///< a plain ack waits so long for company
  std::uint64_t nak_delay_us = 300;    ///< reordering is not loss
  std::uint64_t nak_retry_us = 4'000;  ///< between NAKs of the same gap, doubling
  std::uint64_t reassembly_idle_us = 10'000'000;
  std::uint32_t results_chunks_max = 8192;  ///< RESULTS kept for all sessions, 1.2 KiB each
  std::uint32_t resets_per_second = 1000;   ///< to unknown sessions
};

/// What the server is built upon; all outlive it.
struct record_server_parts {
  batch_sink& sink;
  batch_filler& filler;
  packet_source& source;
  reassembly_pool& reassemblies;
  const cookie_maker& cookies;
  counter_set& counters;
  result_lookup* lookup = nullptr;        ///< null: results of earlier sessions are not known
  packet_forwarder* forwarder = nullptr;  ///< null: this is the only door
  waker* wake = nullptr;                  ///< notified when a lookup is answered
};

class record_server final : public packet_handler, public batch_observer, public result_home {
 public:
  record_server(const record_server_parts& parts, const record_server_options& options);
  ~record_server() override;

  [[nodiscard]] bool handle(const received_packet& packet, std::uint64_t buffer,
                            std::uint64_t now_us) override;
  void batch_finished(const record_batch& batch, std::uint64_t now_us) override;
  void answered(result_query& query) override;

  /// Acks, NAKs, results, expiry: call after each burst, and when next_due_us() is reached. Sends
  /// everything that waits. Returns how much it did.
  int do_work(std::uint64_t now_us);
  /// UINT64_MAX: nothing is due but the sweep for idle sessions, once a second.
  std::uint64_t next_due_us() const;
  bool has_answers() const { return !answers_.empty(); }

  /// Opens a session without a handshake; its OPEN_ACK goes to `peer` by the source. For tests and
  /// benchmarks over a memory source.
  status open_in_process(std::string_view stream, producer_id producer, const endpoint& peer,
                         std::uint64_t now_us);

  /// Refuses newcomers and new records from now on.
  void begin_shutdown() { is_closing_ = true; }
  /// Tells every session what is durable and that the server goes. Call when no batch is in flight.
  void end_sessions(std::uint64_t now_us);

  std::uint32_t sessions() const { return table_.size(); }

 private:
  struct producer_at {
    producer_id producer;
    std::uint32_t lane;
    friend bool operator==(const producer_at&, const producer_at&) = default;
  };
  struct producer_at_hash {
    std::size_t operator()(const producer_at& at) const noexcept {
      return std::hash<producer_id>()(at.producer) + at.lane * 0x9e3779b97f4a7c15u;
    }
  };
  enum class taken : std::uint8_t { held, done, no_room, ended };

  // record_server.cc
  bool handle_session(wire::datagram& from, const received_packet& packet, std::uint64_t buffer,
                      std::uint64_t now_us);
  bool dispatch(session& one, const wire::datagram& from, std::uint64_t buffer,
                std::uint64_t now_us);
  void note_packet(session& one, const wire::datagram& from, std::uint64_t now_us);
  void on_heartbeat(session& one, const wire::datagram& from, std::uint64_t now_us);
  void drop(session& one);
  session_work& work_of(session& one);
  void rest(session& one);
  void watch(session& one);
  void watch_sessions(std::uint64_t now_us);
  void read_source();

  // record_server_handshake.cc
  void on_hello(const wire::datagram& from, const received_packet& packet, std::uint64_t now_us);
  void on_open(wire::datagram& from, const received_packet& packet, std::uint64_t now_us);
  void refuse(const wire::datagram& from, const received_packet& packet, wire::reset_reason reason,
              const aead_key* key);
  session* make_session(const stream_target& stream, producer_id producer, const endpoint& peer,
                        std::uint16_t listener, std::uint64_t now_us);
  void opened(session& one, const batch_entry& entry, std::uint64_t now_us);
  void send_open_ack(session& one);

  // record_server_data.cc
  taken on_data(session& one, const wire::datagram& from, std::uint64_t buffer,
                std::uint64_t now_us);
  taken on_fragment(session& one, const wire::datagram& from, std::uint64_t now_us);
  taken keep_early(session& one, const wire::datagram& from, std::uint64_t buffer,
                   std::uint64_t now_us);
  taken release(session& one, std::uint64_t first_record, byte_view payload,
                std::uint16_t record_count, std::uint64_t buffer, std::uint64_t now_us);
  taken release_large(session& one, std::uint64_t now_us);
  bool append(session& one, std::span<const record_ref> records, std::uint64_t bytes,
              std::uint64_t buffer, std::uint64_t now_us);
  bool drain(session& one, std::uint64_t now_us);
  void note_gap(session& one, std::uint64_t now_us, std::uint64_t delay_us);
  void committed(session& one, const batch_entry& entry, std::uint64_t now_us);

  // record_server_reply.cc
  std::uint32_t seal_reply(session& one, std::byte* at, wire::datagram_header header);
  template <class Payload>
  void reply(session& one, wire::datagram_type type, const Payload& payload,
             std::uint64_t first_record = 0);
  void ack_soon(session& one, std::uint64_t due_us);
  void send_acks(std::uint64_t now_us);
  void send_ack(session& one, std::uint64_t now_us, wire::ack_state state);
  void grow_credit(session& one);
  void send_nak(session& one, std::uint64_t now_us);
  void end_session(session& one, wire::reset_reason reason, std::uint64_t detail);
  void reset_unknown(const wire::datagram& from, const received_packet& packet,
                     std::uint64_t now_us);

  // record_server_results.cc
  void add_results(session& one, const record_batch& batch, const batch_entry& entry,
                   std::size_t first_in_batch);
  result_chunk* take_chunk();
  bool add_chunks(std::vector<result_chunk*>& to, std::uint64_t first,
                  std::span<const record_place> places);
  std::uint64_t results_sent(const session& one) const;
  void take_answers(std::uint64_t now_us);
  void client_has_results(session& one, std::uint64_t below, std::uint64_t now_us);
  void ask_for_results(session& one, std::uint64_t end);
  void send_results(session& one);

  batch_sink& sink_;
  batch_filler& filler_;
  packet_source& source_;
  reassembly_pool& reassemblies_;
  const cookie_maker& cookies_;
  counter_set& counters_;
  result_lookup* lookup_;
  packet_forwarder* forwarder_;
  waker* wake_;
  record_server_options options_;
  std::uint32_t reassembly_owner_ = 0;
  aead_engine engine_;
  outbox outbox_;
  session_table table_;
  std::unordered_map<producer_at, std::uint32_t, producer_at_hash> by_producer_;
  std::vector<record_ref> refs_;           ///< of the datagram in hand
  std::vector<record_place> places_;       ///< of the entry in hand
  std::vector<std::uint32_t> ack_list_;    ///< slots with is_ack_due
  std::vector<std::uint32_t> watch_list_;  ///< slots with is_watched
  std::vector<std::unique_ptr<session_work>> spare_work_;
  std::vector<std::unique_ptr<result_chunk>> chunks_;
  std::vector<result_chunk*> spare_chunks_;
  std::vector<std::unique_ptr<result_query>> queries_;
  std::vector<result_query*> spare_queries_;
  bounded_queue<result_query*> answers_;
  source_counters source_now_;
  std::uint32_t from_buffer_bytes_ = 1;       ///< arena that the datagram in hand occupies
  double record_bytes_per_arena_byte_ = 1.0;  ///< of what arrived lately
  std::uint64_t active_sessions_ = 1;         ///< that got records in the last while
  std::uint64_t active_count_ = 0;
  std::uint32_t active_mark_ = 1;
  std::uint64_t next_activity_us_ = 0;
  std::uint64_t next_watch_us_ = 0;
  std::uint64_t next_sweep_us_ = 0;
  std::uint64_t reset_tokens_us_ = 0;
  bool is_closing_ = false;
};

}  // namespace millrace
