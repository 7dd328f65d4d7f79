#pragma once
/// A producer's session at one door, and the table of them: found by slot in one load, expired a
/// slice at a time. Under 1 KiB an idle session, whatever it did before.
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "ingest/aead.h"
#include "ingest/batch_filler.h"
#include "ingest/packet_source.h"
#include "ingest/packet_window.h"

namespace millrace {

class reassembly;

/// A DATA datagram that waits for an earlier record.
struct early_datagram {
  static constexpr std::uint64_t given_away = UINT64_MAX;
  std::uint64_t first_record = 0;
  const std::byte* payload = nullptr;
  std::uint64_t buffer = 0;  ///< handle; the reference is held, unless given_away
  std::uint32_t payload_bytes = 0;
  std::uint16_t record_count = 0;

  std::uint64_t end() const { return first_record + record_count; }
};

/// A RESULTS payload kept until the client has it; small enough for every path.
struct result_chunk {
  static constexpr std::uint32_t payload_bytes_max =
      limits::datagram_bytes_min - sizeof(wire::datagram_header) - wire::tag_bytes;
  std::uint64_t first_record = 0;
  std::uint32_t record_count = 0;
  std::uint32_t payload_bytes = 0;
  std::byte payload[payload_bytes_max];

  std::uint64_t end() const { return first_record + record_count; }
};

/// What only a session with something outstanding needs; returned to its server's pool when idle.
struct session_work {
  std::vector<early_datagram> early;  ///< by first_record
  std::uint64_t early_bytes = 0;
  reassembly* large = nullptr;
  std::vector<result_chunk*> results;  ///< not known to be with the client, by first_record
  std::size_t results_sent = 0;        ///< of `results`, sent since the client last asked
  std::uint64_t results_retry_us = 0;  ///< not before this are they sent again
  std::uint64_t results_wait_us = 0;   ///< the wait before that, doubling
  std::uint64_t nak_due_us = 0;        ///< 0: no gap known
  std::uint64_t nak_wait_us = 0;       ///< until the next NAK of the same gap, doubling
  std::uint64_t nak_sent_us = 0;       ///< of the gap at next_record; 0: not yet
  bool lookup_pending = false;

  bool is_idle() const {
    return early.empty() && !large && results.empty() && nak_due_us == 0 && !lookup_pending;
  }
};

enum class session_state : std::uint8_t {
  free,
  opening,  ///< its epoch is on its way to the log
  open,
};

struct session {
  session_id id{};
  producer_id producer{};
  session_keys keys;  ///< when key_id is not 0
  std::uint32_t key_id = 0;
  std::uint32_t slot = 0;
  stream_lane lane{};
  epoch_number epoch{};
  endpoint peer;
  std::uint16_t listener = 0;
  session_state state = session_state::free;
  bool wants_results = false;
  bool is_ack_due = false;          ///< in the server's ack list
  bool is_watched = false;          ///< in the server's watch list
  bool has_spoken = false;          ///< something came after OPEN_ACK: credit may grow
  bool results_heard = false;       ///< client_results is the client's own word
  std::uint32_t active_mark = 0;    ///< the server's, when it last got records
  std::uint32_t replaces_slot = 0;  ///< session of the same producer that this one will fence
  session_id replaces{};
  std::uint16_t packets_unacked = 0;
  std::uint32_t echo_time_us = 0;
  std::uint64_t echo_arrival_us = 0;
  std::uint64_t client_nonce = 0;
  std::uint64_t next_packet = 1;  ///< of what we send
  std::uint64_t ack_due_us = 0;

  std::uint64_t next_record = 0;  ///< all below are in batches or durable
  std::uint64_t durable_record = 0;
  std::uint64_t announced_record = 0;  ///< the client has sent all below, by its own word
  std::uint64_t released_bytes = 0;    ///< strides of records put into batches since OPEN_ACK
  std::uint64_t durable_bytes = 0;     ///< of those durable
  std::uint64_t credit_limit = 0;      ///< the highest promised
  std::uint64_t results_end = 0;       ///< `work->results` reaches up to here, without a hole
  std::uint64_t client_results = 0;    ///< the client has the results of all below
  packet_window packets;
  std::unique_ptr<session_work> work;
};

/// Sessions by slot. A pointer stays good while its session is not freed. One thread.
class session_table {
 public:
  explicit session_table(std::uint32_t sessions_max) : sessions_max_(sessions_max) {}

  /// Null when sessions_max are open. The new session is `opening`, with its slot set.
  session* allocate(std::uint64_t now_us);
  void free(session& one);

  /// The session with this slot and id, or null.
  session* find(std::uint32_t slot, session_id id) {
    session* one = at(slot);
    return one && one->id == id ? one : nullptr;
  }
  /// The session in use at the slot, or null.
  session* at(std::uint32_t slot) const {
    if (slot >= used_) return nullptr;
    session& one = blocks_[slot / block_sessions][slot % block_sessions];
    return one.state == session_state::free ? nullptr : &one;
  }

  /// Notes that the session was heard.
  void touch(const session& one, std::uint64_t now_us) {
    heard_s_[one.slot] = static_cast<std::uint32_t>(now_us / 1'000'000);
  }
  /// Looks at the next `slots` slots, calls `expired` for each session silent for idle_us. Cheap:
  /// it reads four bytes a slot.
  template <class Expired>
  void sweep(std::uint32_t slots, std::uint64_t now_us, std::uint64_t idle_us, Expired expired) {
    const auto now_s = static_cast<std::uint32_t>(now_us / 1'000'000);
    const auto idle_s = static_cast<std::uint32_t>(idle_us / 1'000'000);
    for (std::uint32_t i = 0; i < slots && used_ > 0; ++i) {
      sweep_at_ = sweep_at_ + 1 < used_ ? sweep_at_ + 1 : 0;
      if (heard_s_[sweep_at_] == never || now_s - heard_s_[sweep_at_] < idle_s) continue;
      if (session* one = at(sweep_at_)) expired(*one);
    }
  }

  template <class Visit>
  void for_each(Visit visit) {
    for (std::uint32_t slot = 0; slot < used_; ++slot) {
      if (session* one = at(slot)) visit(*one);
    }
  }

  std::uint32_t size() const { return used_ - static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t slots() const { return used_; }

 private:
  static constexpr std::uint32_t block_sessions = 256;
  static constexpr std::uint32_t never = UINT32_MAX;
  std::uint32_t sessions_max_;
  std::uint32_t used_ = 0;  ///< slots ever used
  std::uint32_t sweep_at_ = 0;
  std::vector<std::unique_ptr<session[]>> blocks_;  ///< grown a block at a time, never moved
  std::vector<std::uint32_t> heard_s_;              ///< by slot; `never` when free
  std::vector<std::uint32_t> free_;
};

static_assert(sizeof(session) + sizeof(std::uint32_t) * 2 < 640,
              "an idle session, with its place in the tables, stays under 1 KiB");

}  // namespace millrace
