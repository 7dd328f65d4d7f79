#pragma once
/// Sends bursts of datagrams by UDP sockets: runs of equal ones to one client go to the kernel as
/// one message that it cuts up (UDP_SEGMENT), where it can.
#include <cstdint>
#include <span>

#include "ingest/packet_source.h"
#include "ingest/udp_control.h"
#include "ingest/udp_socket.h"

namespace millrace {

class udp_sender {
 public:
  explicit udp_sender(bool use_segment) : use_segment_(use_segment) {}

  /// packet_source::send(), each packet by the socket of its listener.
  std::uint32_t send(std::span<const outgoing_packet> packets,
                     std::span<const local_socket> sockets, const own_addresses& own);

 private:
  struct burst;
  std::size_t add_message(std::span<const outgoing_packet> packets, std::size_t next,
                          const own_addresses& own, burst& into) const;

  bool use_segment_;
};

}  // namespace millrace
