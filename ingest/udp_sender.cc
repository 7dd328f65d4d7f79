#include "ingest/udp_sender.h"

#include <array>
#include <cerrno>

#include <netinet/udp.h>

#include "base/limits.h"

namespace millrace {
namespace {

/// Of one UDP_SEGMENT send: the kernel's UDP_MAX_SEGMENTS.
constexpr std::size_t segments_max = 64;
constexpr std::size_t segment_run_bytes_max = 65'000;

}  // namespace

/// Messages of one sendmmsg, all by one socket.
struct udp_sender::burst {
  std::array<mmsghdr, limits::burst_packets_max> messages;
  std::array<std::uint32_t, limits::burst_packets_max>
      first;  ///< packet that a message starts with
  std::array<std::uint32_t, limits::burst_packets_max> count;  ///< packets in it
  std::array<iovec, limits::burst_packets_max> parts;
  std::array<sockaddr_storage, limits::burst_packets_max> to;
  std::array<udp_control, limits::burst_packets_max> controls;
  std::size_t message_count = 0;
  std::size_t part_count = 0;
};

/// Adds one message from packets[next] on: a run of equal datagrams to one client, of which the
/// last may be shorter. Returns the packet after it.
std::size_t udp_sender::add_message(std::span<const outgoing_packet> packets, std::size_t next,
                                    const own_addresses& own, burst& into) const {
  const outgoing_packet& head = packets[next];
  const std::size_t at = into.message_count++;
  into.first[at] = static_cast<std::uint32_t>(next);
  into.count[at] = 0;
  msghdr& message = (into.messages[at] = {}).msg_hdr;
  message.msg_iov = &into.parts[into.part_count];
  std::size_t bytes = 0;
  bool is_last = false;
  while (next < packets.size() && into.part_count < into.parts.size() && !is_last) {
    const outgoing_packet& packet = packets[next];
    const bool joins = into.count[at] == 0 ||
                       (use_segment_ && packet.to == head.to && packet.listener == head.listener &&
                        packet.bytes.size() <= head.bytes.size() && into.count[at] < segments_max &&
                        bytes + packet.bytes.size() <= segment_run_bytes_max);
    if (!joins) break;
    is_last = packet.bytes.size() < head.bytes.size();
    into.parts[into.part_count++] = {.iov_base = const_cast<std::byte*>(packet.bytes.data()),
                                     .iov_len = packet.bytes.size()};
    bytes += packet.bytes.size();
    ++into.count[at];
    ++next;
  }
  message.msg_iovlen = into.count[at];
  message.msg_namelen = to_sockaddr(head.to, into.to[at]);
  message.msg_name = &into.to[at];
  udp_control& extra = into.controls[at];
  if (into.count[at] > 1) {
    add_control(message, extra, SOL_UDP, UDP_SEGMENT,
                static_cast<std::uint16_t>(head.bytes.size()));
  }
  own.add_source(head.to, message, extra);
  return next;
}

std::uint32_t udp_sender::send(std::span<const outgoing_packet> packets,
                               std::span<const local_socket> sockets, const own_addresses& own) {
  std::uint32_t sent = 0;
  std::size_t next = 0;
  while (next < packets.size()) {
    burst one;
    const std::uint16_t listener = packets[next].listener;
    while (next < packets.size() && one.part_count < one.parts.size() &&
           packets[next].listener == listener) {
      next = add_message(packets, next, own, one);
    }
    std::size_t gone = 0;
    while (gone < one.message_count) {
      const int done = ::sendmmsg(sockets[listener].fd.get(), &one.messages[gone],
                                  static_cast<unsigned>(one.message_count - gone), 0);
      if (done > 0) {
        for (int i = 0; i < done; ++i)
          sent += one.count[gone++];
      } else if (errno == EINTR) {
        continue;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
        return sent;
      } else if (one.count[gone] > 1) {
        // This path cannot segment (EIO, EINVAL): never try again, and send these one by one.
        use_segment_ = false;
        next = one.first[gone];
        break;
      } else {
        ++gone;  // too large for the path, or unreachable: this one is lost
      }
    }
  }
  return sent;
}

}  // namespace millrace
