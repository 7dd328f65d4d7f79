#pragma once
/// A burst of datagrams being built, and what of it the packet source has not taken yet.
#include <cstdint>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "ingest/packet_source.h"

namespace millrace {

/// One thread. Allocates nothing after construction.
class producer_stage {
 public:
  producer_stage();

  /// True when a datagram of up to limits::datagram_bytes_max can be added.
  bool has_room() const {
    return packets_.size() < limits::burst_packets_max &&
           used_ + limits::datagram_bytes_max <= bytes_max;
  }
  bool empty() const { return packets_.empty(); }
  /// Where the next datagram is built; has_room() is true.
  std::byte* place() { return bytes_.get() + used_; }
  /// The datagram at place() is finished. One that `may_fail` is dropped when the source refuses
  /// it, rather than offered again.
  void add(std::uint32_t datagram_bytes, const endpoint& to, bool may_fail = false);

  /// Hands the burst to the source. False: it did not take all of it now; call again.
  bool send(packet_source& source);
  void clear();

  std::uint64_t datagrams_sent() const { return datagrams_sent_; }

 private:
  /// Few enough bytes to be still in the L2 cache when they are sent.
  static constexpr std::uint64_t bytes_max = 512 * limits::kib;
  static constexpr std::uint32_t refusals_max = 16;

  std::unique_ptr<std::byte[]> bytes_;
  std::uint64_t used_ = 0;
  std::vector<outgoing_packet> packets_;
  std::uint64_t may_fail_ = 0;  ///< a bit a packet
  std::size_t sent_ = 0;
  std::uint32_t refusals_ = 0;  ///< of the packet at sent_
  std::uint64_t datagrams_sent_ = 0;
};
static_assert(limits::burst_packets_max <= 64);

}  // namespace millrace
