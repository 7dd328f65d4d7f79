#include <charconv>

#include <arpa/inet.h>

#include "ingest/udp_source.h"

namespace millrace {

result<udp_address> parse_udp_address(std::string_view text) {
  const auto wrong = [&](const char* what) {
    return error(error_code::invalid_argument, "UDP address '" + std::string(text) + "': " + what +
                                                   "; write 127.0.0.1:4567 or [::1]:4567");
  };
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find("]:");
    if (close == text.npos) return wrong("no ']:' behind the address");
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
  } else {
    const auto colon = text.find(':');
    if (colon == text.npos) return wrong("no port");
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  udp_address address{.host = std::string(host), .port = 0};
  const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (fault != std::errc{} || end != port.data() + port.size()) {
    return wrong("the port is not a number from 0 to 65535");
  }
  if (!to_endpoint(address).ok()) return wrong("the host is not an IPv4 or IPv6 address");
  return address;
}

result<endpoint> to_endpoint(const udp_address& address) {
  endpoint made;
  made.port = address.port;
  if (inet_pton(AF_INET, address.host.c_str(), made.address.data()) == 1) {
    made.family = 4;
  } else if (inet_pton(AF_INET6, address.host.c_str(), made.address.data()) == 1) {
    made.family = 6;
  } else {
    return error(error_code::invalid_argument,
                 "'" + address.host + "' is not an IPv4 or IPv6 address");
  }
  return made;
}

}  // namespace millrace
