#include "ingest/udp_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>

#include "base/endian.h"

namespace millrace {

socklen_t to_sockaddr(const endpoint& from, sockaddr_storage& to) {
  std::memset(&to, 0, sizeof to);
  if (from.family == 4) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(from.port);
    std::memcpy(&four.sin_addr, from.address.data(), 4);
    std::memcpy(&to, &four, sizeof four);
    return sizeof four;
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(from.port);
  std::memcpy(&six.sin6_addr, from.address.data(), 16);
  std::memcpy(&to, &six, sizeof six);
  return sizeof six;
}

endpoint from_sockaddr(const sockaddr_storage& from) {
  endpoint made;
  if (from.ss_family == AF_INET) {
    const auto four = load<sockaddr_in>(&from);
    made.family = 4;
    made.port = ntohs(four.sin_port);
    std::memcpy(made.address.data(), &four.sin_addr, 4);
  } else {
    const auto six = load<sockaddr_in6>(&from);
    made.family = 6;
    made.port = ntohs(six.sin6_port);
    std::memcpy(made.address.data(), &six.sin6_addr, 16);
  }
  return made;
}

namespace {

bool is_any(const endpoint& one) {
  return std::ranges::all_of(one.address, [](std::uint8_t byte) { return byte == 0; });
}

void set_option(int fd, int level, int name, int value) {
  // Options that make it faster, or that an old kernel lacks; what is needed is checked by bind().
  [[maybe_unused]] const int done = setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

result<local_socket> open_udp_socket(const udp_address& address,
                                     const udp_source_options& options) {
  MILLRACE_ASSIGN(const endpoint wanted, to_endpoint(address));
  const std::string name = "UDP socket " + to_string(wanted);
  const bool is_four = wanted.family == 4;
  local_socket made;
  made.fd = descriptor(
      ::socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = made.fd.get();
  if (fd < 0) return error::from_errno(errno, name);
  if (!is_four) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options.share_ports) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  // DF, and no memory of what ICMP says: the protocol probes the path itself.
  if (is_four) {
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  }
  set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  if (options.use_gro) set_option(fd, SOL_UDP, UDP_GRO, 1);
  if (is_any(wanted)) {
    set_option(fd, is_four ? IPPROTO_IP : IPPROTO_IPV6, is_four ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
  }
  const int bytes = static_cast<int>(options.socket_buffer_bytes);
  for (const auto& [forced, plain] :
       {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}}) {
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) {
      set_option(fd, SOL_SOCKET, plain, bytes);
    }
  }
  sockaddr_storage at;
  socklen_t at_bytes = to_sockaddr(wanted, at);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), at_bytes) != 0) {
    return error::from_errno(errno, name);
  }
  at_bytes = sizeof at;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &at_bytes) != 0) {
    return error::from_errno(errno, name);
  }
  made.local = from_sockaddr(at);
  return made;
}

}  // namespace millrace
