#pragma once
/// A kernel UDP socket, or several (one a local port), as a packet source. Bursts by recvmmsg and
/// UDP_GRO in, sendmmsg and UDP_SEGMENT out; DF is set and nothing is ever fragmented.
///
/// Datagrams are received one behind the other into slabs of 256 KiB, so that small ones do not
/// occupy 64 KiB each. A slab is free again when all packets in it have been released.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "ingest/packet_source.h"

namespace millrace {

struct udp_address {
  std::string host;        ///< IPv4 or IPv6 literal: "127.0.0.1", "::1", "0.0.0.0"
  std::uint16_t port = 0;  ///< 0: any free one
};

/// Reads "127.0.0.1:4567" or "[::1]:4567".
result<udp_address> parse_udp_address(std::string_view text);
/// The same as an endpoint to send to.
result<endpoint> to_endpoint(const udp_address& address);

inline constexpr std::uint32_t udp_slab_bytes = 256 * 1024;
/// Slabs that are always open for receiving; a source needs more than these.
inline constexpr std::uint32_t udp_open_slabs = 16;

struct udp_source_options {
  std::vector<udp_address> listen;  ///< listener i of the source is listen[i]; at least one
  std::uint32_t slabs = 256;        ///< of udp_slab_bytes each, carved from the arena
  /// Several sources bind the same ports, and the kernel spreads clients over them by address.
  bool share_ports = false;
  std::uint32_t socket_buffer_bytes = 16 * 1024 * 1024;  ///< asked for; the kernel may give less
  bool use_gro = true;      ///< take several datagrams of one client in one call
  bool use_segment = true;  ///< send runs of equal datagrams to one client in one call
};

class udp_source : public packet_source {
 public:
  /// Binds all sockets. An `io` error names the address that could not be bound.
  static result<std::unique_ptr<udp_source>> create(arena& from, const udp_source_options& options);

  /// The local address of a listener, with the port that was really bound.
  virtual endpoint local(std::uint16_t listener) const = 0;
  /// Bytes of the kernel's receive buffer of a socket, as granted.
  virtual std::uint32_t granted_buffer_bytes() const = 0;
};

}  // namespace millrace
