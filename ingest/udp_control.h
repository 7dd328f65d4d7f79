#pragma once
/// Control messages of UDP sockets, and this host's own addresses in them: a socket bound to all of
/// them learns which a client wrote to, and answers from that one, for the client listens to no
/// other.
#include <array>
#include <cstdint>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/endian.h"
#include "ingest/packet_source.h"

namespace millrace {

/// Room for the control messages of one message, either way.
struct udp_control {
  alignas(cmsghdr) std::byte bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint32_t)) +
                                   CMSG_SPACE(sizeof(in6_pktinfo))];
};

/// Appends one control message to those that `message` has in `space`.
template <class Value>
void add_control(msghdr& message, udp_control& space, int level, int type, const Value& value) {
  const cmsghdr head{.cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = level, .cmsg_type = type};
  std::byte* const at = space.bytes + message.msg_controllen;
  store(at, head);
  store(at + CMSG_LEN(0), value);
  message.msg_control = space.bytes;
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

/// The addresses that clients wrote to. endpoint::local names them by one more than their place
/// here; 0 leaves the choice to the kernel.
class own_addresses {
 public:
  /// What a control message says of it, for endpoint::local; 0 when it says nothing of use.
  std::uint8_t learn(const cmsghdr& from);
  /// Has a message leave from the address that `to` wrote to.
  void add_source(const endpoint& to, msghdr& message, udp_control& space) const;

 private:
  struct address {
    std::uint8_t family = 0;
    std::array<std::uint8_t, 16> bytes{};

    friend bool operator==(const address&, const address&) = default;
  };
  std::vector<address> known_;
};

}  // namespace millrace
