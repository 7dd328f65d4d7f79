#include <cstdio>

#include <arpa/inet.h>

#include "ingest/packet_source.h"

namespace millrace {

std::string address_text(const endpoint& who) {
  if (who.family == 0) return "memory";
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(who.family == 4 ? AF_INET : AF_INET6, who.address.data(), text, sizeof text);
  return text;
}

std::string to_string(const endpoint& who) {
  const std::string address = address_text(who);
  const std::string port = std::to_string(who.port);
  return who.family == 6 ? "[" + address + "]:" + port : address + ":" + port;
}

}  // namespace millrace
