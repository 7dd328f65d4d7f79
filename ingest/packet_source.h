#pragma once
/// Where datagrams come from and go to: a UDP socket, a DPDK port's queue, or memory. Bursts, not
/// packets; one thread a source.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace millrace {

/// The other end of a datagram. For a DPDK port it carries the link address to answer to.
struct endpoint {
  std::array<std::uint8_t, 16> address{};  ///< IPv6, or IPv4 in its first four bytes
  std::uint16_t port = 0;                  ///< host byte order
  std::uint8_t family = 0;                 ///< 4 or 6; 0: memory
  std::uint8_t local =
      0;  ///< which of the source's own addresses it wrote to; answers leave from it
  std::array<std::uint8_t, 6> link{};  ///< its MAC; zero for sockets, or when still to be resolved
  std::uint16_t vlan = 0;              ///< 802.1Q tag control; 0: no tag

  friend bool operator==(const endpoint&, const endpoint&) = default;
};
static_assert(sizeof(endpoint) == 28);

/// "192.0.2.1:4567", "[2001:db8::1]:4567".
std::string to_string(const endpoint& who);
/// The same without the port: what raw records are keyed by.
std::string address_text(const endpoint& who);

/// A datagram received. `bytes` lies in the arena and stays until release(buffer); each received
/// packet holds one reference to its buffer, also when several share it.
struct received_packet {
  mutable_byte_view bytes;  ///< the UDP payload
  endpoint from;
  std::uint64_t buffer = 0;        ///< opaque to everyone but the source; below 2^56
  std::uint32_t buffer_bytes = 0;  ///< arena that this packet keeps occupied
  std::uint16_t listener = 0;      ///< which of the source's local ports it came to, from 0
};

/// A datagram to send; copied by send().
struct outgoing_packet {
  byte_view bytes;
  endpoint to;
  std::uint16_t listener = 0;  ///< the local port to send from
};

struct source_counters {
  std::uint64_t dropped = 0;  ///< lost before receive(), as the kernel or the port counts them
  std::uint64_t stalled = 0;  ///< receive() calls that found no free buffer
  std::uint64_t buffers = 0;
  std::uint64_t buffers_free = 0;
};

/// A named counter of the source's own kind (a PMD's xstats), for /metrics.
struct source_statistic {
  std::string name;
  std::uint64_t value = 0;
};

class packet_source {
 public:
  virtual ~packet_source() = default;

  /// Up to out.size() packets that have arrived; 0 when there are none. Never blocks.
  virtual std::uint32_t receive(std::span<received_packet> out) = 0;

  /// Gives back one reference that receive() handed out. Only on the source's thread.
  virtual void release(std::uint64_t buffer) = 0;

  /// Sends what it can and returns how many; the rest was not sent and may be dropped: the protocol
  /// recovers. Datagrams carry DF and are never fragmented.
  virtual std::uint32_t send(std::span<const outgoing_packet> packets) = 0;

  /// A descriptor that poll(2) reports readable when packets wait; -1: the source must be polled.
  virtual int poll_fd() const = 0;

  /// Called once on the thread that will use the source, before anything else is.
  virtual void adopt_thread() {}

  /// The largest UDP payload it can receive and send.
  virtual std::uint32_t datagram_bytes_max() const = 0;

  virtual source_counters counters() const = 0;
  virtual std::vector<source_statistic> statistics() const { return {}; }
  /// "udp 127.0.0.1:4567", "dpdk port 0 (net_ring) queue 0": for logs.
  virtual std::string describe() const = 0;
};

}  // namespace millrace
