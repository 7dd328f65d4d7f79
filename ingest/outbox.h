#pragma once
/// Replies of one door on their way to its source: built in place, sent in bursts.
#include <cstdint>
#include <vector>

#include "base/counters.h"
#include "base/limits.h"
#include "ingest/packet_source.h"

namespace millrace {

/// One thread.
class outbox {
 public:
  outbox(packet_source& source, counter_set& counters);

  /// Room for a datagram of up to datagram_bytes_min; sends what waits when there is none left.
  std::byte* claim();
  /// Queues the datagram that was built at the last claim().
  void commit(std::uint32_t bytes, const endpoint& to, std::uint16_t listener);
  /// Sends all. What the source does not take is dropped and counted: every reply is made again by
  /// the protocol.
  void flush();

 private:
  static constexpr std::uint32_t packets_max = limits::burst_packets_max;
  static constexpr std::uint32_t packet_bytes = 1280;
  static_assert(packet_bytes >= limits::datagram_bytes_min);
  packet_source& source_;
  counter_set& counters_;
  std::vector<std::byte> bytes_;
  std::vector<outgoing_packet> packets_;
};

}  // namespace millrace
