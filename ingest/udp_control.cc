#include "ingest/udp_control.h"

#include <algorithm>
#include <cstring>

namespace millrace {
namespace {

/// As many as endpoint::local can name.
constexpr std::size_t addresses_max = 255;

}  // namespace

std::uint8_t own_addresses::learn(const cmsghdr& from) {
  address one;
  if (from.cmsg_level == IPPROTO_IP && from.cmsg_type == IP_PKTINFO) {
    const auto info = load<in_pktinfo>(CMSG_DATA(&from));
    one.family = 4;
    std::memcpy(one.bytes.data(), &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
  } else if (from.cmsg_level == IPPROTO_IPV6 && from.cmsg_type == IPV6_PKTINFO) {
    const auto info = load<in6_pktinfo>(CMSG_DATA(&from));
    // A link-local address says nothing without its interface, a group's is nobody's.
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) || IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) return 0;
    one.family = 6;
    std::memcpy(one.bytes.data(), &info.ipi6_addr, sizeof info.ipi6_addr);
  } else {
    return 0;
  }
  const auto found = std::ranges::find(known_, one);
  const auto at = static_cast<std::size_t>(found - known_.begin());
  if (found == known_.end()) {
    if (at == addresses_max) return 0;
    known_.push_back(one);
  }
  return static_cast<std::uint8_t>(at + 1);
}

void own_addresses::add_source(const endpoint& to, msghdr& message, udp_control& space) const {
  if (to.local == 0 || to.local > known_.size()) return;
  const address& own = known_[to.local - 1u];
  if (own.family != to.family) return;
  if (own.family == 4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, own.bytes.data(), sizeof info.ipi_spec_dst);
    add_control(message, space, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, own.bytes.data(), sizeof info.ipi6_addr);
    add_control(message, space, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

}  // namespace millrace
