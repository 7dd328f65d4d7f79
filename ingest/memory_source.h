#pragma once
/// Packet sources without a network: a little network in memory for tests, and a source that
/// replays prepared datagrams for ever, for benchmarks.
#include <memory>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "ingest/packet_source.h"

namespace millrace {

/// Datagrams between memory sources by address: lossless while queues have room, in order.
/// Thread-safe; each attached source belongs to one thread. Sources may outlive the network object.
class memory_network {
 public:
  memory_network();
  ~memory_network();

  struct port_options {
    std::uint32_t buffers = 256;      ///< of 64 KiB, one datagram each, carved from the arena
    std::uint32_t queued_max = 4096;  ///< datagrams waiting for receive(); more are dropped
    bool has_poll_fd = true;          ///< false: must be polled, like a DPDK port
  };
  /// A source at `address` (family 4 or 6). An address that is taken is an `already_exists` error.
  result<std::unique_ptr<packet_source>> attach(arena& from, const endpoint& address,
                                                const port_options& options);

 private:
  struct state;
  std::shared_ptr<state> state_;
};

struct replay_options {
  std::uint32_t outstanding_max = 4096;    ///< datagrams handed out and not released: its "buffers"
  std::uint64_t records_max = UINT64_MAX;  ///< stops after about so many
  double records_per_s = 0;                ///< not more than about so many; 0: as fast as it goes
};

/// One session's DATA datagrams, over and over: prepared once, then only packet number, record
/// number and checksum are renewed each time. The receiver verifies the whole checksum of every
/// datagram, as for any other; renewing it costs the source a CRC32C of 48 bytes and four table
/// loads, because the payload's part never changes. Records keep their place in the arena, so that
/// a datagram may be handed out again while an older batch still refers to it: the bytes are the
/// same.
///
/// Its session is opened by record_server::open_in_process(); it starts when OPEN_ACK comes to
/// send(), keeps to the credit of the ACKs, and goes back to what a NAK names. One thread.
class replay_source : public packet_source {
 public:
  /// Each payload is a DATA payload of whole records. Copies them into the arena; two bursts of
  /// datagrams or more, so that none is handed out twice in one.
  static result<std::unique_ptr<replay_source>> create(
      arena& from, const std::vector<std::vector<std::byte>>& payloads,
      const replay_options& options);

  virtual std::uint64_t records_sent() const = 0;     ///< distinct ones
  virtual std::uint64_t records_durable() const = 0;  ///< as the last ACK said
  virtual std::uint64_t record_bytes_durable() const = 0;
  virtual bool is_finished() const = 0;  ///< records_max sent and durable
};

}  // namespace millrace
