#pragma once
/// The producer library: sends records to one stream over the record protocol and tells what became
/// of each. Pipelined, credit-aware, retransmitting; keeps its identity over reconnects, so that a
/// record is in the log exactly once whatever the network or the server did.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/types.h"
#include "ingest/keyring.h"
#include "ingest/packet_source.h"

namespace millrace {

struct producer_options {
  std::string stream;
  std::optional<producer_id>
      identity;  ///< random when not given; give it to resume after a restart
  std::optional<shared_key> key;
  std::uint64_t buffer_bytes_max = 64 * limits::mib;  ///< unacked records held; send() waits at it
  std::uint32_t datagram_bytes_max = limits::datagram_bytes_max;
  std::uint64_t linger_us = 200;  ///< a datagram waits no longer to be filled
  bool wants_results = false;     ///< deliver its place in the log with each outcome
  /// With wants_results and an identity that was used before: outcomes are wanted from this record
  /// on, also for those that were durable before this producer existed. Default: only of its own.
  std::optional<record_number> results_from;
  std::uint64_t connect_timeout_us = 10'000'000;
};

/// What became of one record.
struct record_outcome {
  record_number number{};
  bool durable = false;    ///< false: refused for good; `reason` says why
  bool has_place = false;  ///< with wants_results, unless the server no longer knows
  // Its place, when has_place: the parts of its sequence number (see shards/sequence_number.h).
  shard_index shard{};
  std::uint32_t shard_created_s = 0;
  record_index index{};
  std::uint32_t arrival_s = 0;
  std::string_view reason;
  std::uint64_t latency_us = 0;  ///< from send() to the durable ack
};

struct producer_statistics {
  std::uint64_t records_sent = 0;  ///< accepted by send()
  std::uint64_t records_durable = 0;
  std::uint64_t record_bytes_durable = 0;
  std::uint64_t datagrams_sent = 0;
  std::uint64_t datagrams_resent = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t requests_sent = 0;   ///< over HTTP, where there are no datagrams
  std::uint64_t records_resent = 0;  ///< likewise
  std::uint64_t naks = 0;
  std::uint64_t rtt_us = 0;
  std::uint32_t datagram_bytes = 0;  ///< size in use, found by probing
  bool storage_blocked = false;      ///< the server says that its log cannot be written now
  std::string last_trouble;          ///< newest reason for waiting or reconnecting; may be empty
};

/// Thread-safe. One background thread a producer.
class producer {
 public:
  /// Called in record order on the producer's thread; must not block.
  using outcome_handler = std::function<void(const record_outcome&)>;

  /// Connects over UDP to `host`:`port` ("127.0.0.1", "::1") and waits for the session.
  static result<std::unique_ptr<producer>> connect(const std::string& host, std::uint16_t port,
                                                   const producer_options& options,
                                                   outcome_handler on_outcome);
  /// The same over any packet source (tests, net_ring). The source belongs to the producer's
  /// thread.
  static result<std::unique_ptr<producer>> connect(std::unique_ptr<packet_source> source,
                                                   const endpoint& server,
                                                   const producer_options& options,
                                                   outcome_handler on_outcome);
  virtual ~producer() = default;

  /// The number the next record will get: 0 for a new identity, else what the server's log lacks.
  virtual record_number next_record() const = 0;

  /// Copies the record into the send buffer and returns its number. Waits while the buffer is full.
  /// `invalid_argument` names what is wrong with it; `fenced` when a newer session of this identity
  /// exists; `unavailable` after close().
  virtual result<record_number> send(std::string_view key, byte_view data,
                                     const uint128* hash_key = nullptr) = 0;

  /// Waits until every record sent so far has its outcome. `timed_out` after `timeout_us`.
  virtual status flush(std::uint64_t timeout_us) = 0;
  /// Tells the server and ends the thread. Does not wait for outstanding records: flush() first.
  virtual void close() = 0;
  virtual producer_statistics statistics() const = 0;
};

}  // namespace millrace
