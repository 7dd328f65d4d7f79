#pragma once
/// Values as people write them on a command line, in the environment or in a configuration file.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace millrace {

/// A decimal number up to `max`, nothing around it. Errors name `what`.
result<std::uint64_t> parse_number(std::string_view what, std::string_view text,
                                   std::uint64_t max = UINT64_MAX);

/// A number of bytes: "65536", "64KiB", "256MiB", "1.5GiB", "1TiB"; also k, M, G, T for powers of
/// ten ("10GB" or "10G").
result<std::uint64_t> parse_bytes(std::string_view what, std::string_view text);
/// "256 MiB", "1.5 GiB", "812 B".
std::string bytes_text(std::uint64_t bytes);

/// "HOST:PORT" or "[IPv6]:PORT"; the host is an address, not a name, except "localhost".
struct host_port {
  std::string host;
  std::uint16_t port = 0;
};
result<host_port> parse_host_port(std::string_view what, std::string_view text);
/// With brackets around an IPv6 address.
std::string to_string(const host_port& where);
bool is_loopback(const host_port& where);

}  // namespace millrace
