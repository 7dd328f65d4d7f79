#pragma once
/// Ethernet frames as a DPDK port sees them: reads UDP over IPv4 and IPv6, and answers what a good
/// host answers (ARP, neighbour discovery, echo). Pure functions over bytes, big-endian on the
/// wire; hostile input is expected, nothing outside the given bytes is read or written.
///
/// One 802.1Q tag is tolerated and echoed; stacked tags, IP fragments and everything that is not
/// for us are dropped, each with its reason.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "ingest/packet_source.h"

namespace millrace {

using link_address = std::array<std::uint8_t, 6>;

/// "02:4d:52:00:00:01".
std::string to_string(const link_address& link);

/// An address of the port with the length of its network's prefix.
struct port_address {
  std::array<std::uint8_t, 16> address{};  ///< IPv4 in its first four bytes
  std::uint8_t family = 0;                 ///< 4 or 6
  std::uint8_t prefix_bits = 0;
};

/// "192.0.2.1/24", "2001:db8::1/64". The error names the text and what is wrong with it.
result<port_address> parse_port_address(std::string_view text);
std::string to_string(const port_address& address);

/// Whom the port answers as. Without addresses it is passive: it takes datagrams to anyone (a
/// mirror port, a replayed capture), answers nothing and sends nothing.
struct port_identity {
  link_address link{};
  std::vector<port_address> addresses;  ///< at most 255
  bool passive() const { return addresses.empty(); }
};

enum class frame_kind : std::uint8_t {
  udp,
  arp_request,        ///< for one of our addresses: answer
  arp_reply,          ///< to us: learn `from`
  neighbour_request,  ///< solicitation for one of our addresses: answer
  neighbour_reply,    ///< advertisement to us: learn `from`
  echo_request,       ///< ICMP or ICMPv6: answer
  dropped,
};

/// Why a frame was dropped. X(name, text).
#define MILLRACE_FRAME_DROPS(X)                                      \
  X(truncated, "shorter than its headers say")                       \
  X(stacked_vlan, "more than one VLAN tag")                          \
  X(other_protocol, "neither ARP, UDP nor answered by this port")    \
  X(other_destination, "addressed to someone else")                  \
  X(bad_source, "a source address that no host may have")            \
  X(bad_header, "an IP, ARP or ICMP header that is not well-formed") \
  X(fragment, "an IP fragment")                                      \
  X(bad_checksum, "a wrong IPv4, UDP or ICMP checksum")              \
  X(no_listener, "to a UDP port that nobody listens on")             \
  X(too_many_segments, "in several buffers that could not be joined")

enum class frame_drop : std::uint8_t {
#define X(name, text) name,
  MILLRACE_FRAME_DROPS(X)
#undef X
      count
};
/// The name, for counters: "truncated", ….
std::string_view to_string(frame_drop why);

/// What the port vouches for already, so that software need not look.
struct frame_checks {
  bool ip_checksum = true;   ///< verify IPv4 header checksums
  bool udp_checksum = true;  ///< verify UDP checksums (IPv4: when there is one)
};

/// A frame read. Offsets are bytes from the frame's start; they lie within it.
struct parsed_frame {
  frame_kind kind = frame_kind::dropped;
  frame_drop why = frame_drop::truncated;  ///< when dropped
  endpoint from;                           ///< with link, vlan and, when not passive, local
  std::uint16_t to_port = 0;               ///< udp: host byte order
  std::uint32_t network_offset = 0;        ///< of the ARP, IPv4 or IPv6 header
  std::uint32_t payload_offset = 0;        ///< udp: of its payload; else of the ICMP header
  std::uint32_t payload_bytes = 0;         ///< udp: of its payload; else of the ICMP message
};

/// Reads one frame, without FCS; padding after the IP packet is ignored. `stripped_vlan` is the tag
/// that the port has taken out of the frame already, 0 for none.
parsed_frame parse_frame(byte_view frame, const port_identity& us, const frame_checks& checks,
                         std::uint16_t stripped_vlan = 0);

/// No answer to a frame is longer than the larger of this and the frame with a tag of 4 bytes.
inline constexpr std::uint32_t frame_answer_bytes_min = 96;

/// Writes the answer to `request` (kinds arp_request, neighbour_request and echo_request) and
/// returns its bytes; 0 when `out` is too small.
std::uint32_t build_answer(byte_view request, const parsed_frame& parsed, const port_identity& us,
                           mutable_byte_view out);

/// Bytes before the payload of a UDP datagram to this endpoint.
std::uint32_t udp_headers_bytes(const endpoint& to);

/// Writes Ethernet, IP (with DF) and UDP headers for the payload that already lies behind them at
/// frame[udp_headers_bytes(to)..], checksums included. `from` is one of our addresses, of the
/// family of `to`; `to.link` is resolved; the payload has at most 65 507 bytes.
void write_udp_headers(mutable_byte_view frame, const link_address& link, const port_address& from,
                       std::uint16_t from_port, const endpoint& to);

/// Writes a broadcast ARP request, or a neighbour solicitation, for `target` from our address
/// `from`. Returns its bytes; 0 when `out` is too small.
std::uint32_t build_resolve_request(const link_address& link, const port_address& from,
                                    const endpoint& target, mutable_byte_view out);

/// The internet checksum (RFC 1071): adds `bytes` to a running sum, 0 at first; only the last piece
/// may have an odd length. fold() ends it: the checksum in host byte order, 0 when the bytes summed
/// included a right one.
std::uint64_t checksum_add(std::uint64_t sum, byte_view bytes);
std::uint16_t checksum_fold(std::uint64_t sum);

}  // namespace millrace
