#pragma once
/// Offsets and numbers of the network headers that net_frames reads and writes. Everything is
/// big-endian at any address, so fields are read by offset, never through a struct.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/endian.h"
#include "base/types.h"

namespace millrace::net {

inline std::uint16_t swap16(std::uint16_t value) {
  return static_cast<std::uint16_t>(value << 8 | value >> 8);
}
inline std::uint16_t get16(const std::byte* at) {
  return swap16(load<std::uint16_t>(at));
}
inline void put16(std::byte* at, std::uint32_t value) {
  store(at, swap16(static_cast<std::uint16_t>(value)));
}
inline std::uint8_t get8(const std::byte* at) {
  return std::to_integer<std::uint8_t>(*at);
}

// Ethernet II, IEEE 802.1Q.
inline constexpr std::uint32_t link_bytes = 6;
inline constexpr std::uint32_t ethernet_bytes = 14;
inline constexpr std::uint32_t vlan_bytes = 4;
inline constexpr std::uint16_t type_ipv4 = 0x0800;
inline constexpr std::uint16_t type_arp = 0x0806;
inline constexpr std::uint16_t type_ipv6 = 0x86dd;
inline constexpr std::uint16_t type_vlan = 0x8100;
inline constexpr std::uint16_t type_stacked_vlan = 0x88a8;

// ARP (RFC 826) for IPv4 over Ethernet.
inline constexpr std::uint32_t arp_bytes = 28;
inline constexpr std::uint32_t arp_operation = 6;
inline constexpr std::uint32_t arp_sender_link = 8;
inline constexpr std::uint32_t arp_sender_address = 14;
inline constexpr std::uint32_t arp_target_link = 18;
inline constexpr std::uint32_t arp_target_address = 24;

// IPv4 (RFC 791).
inline constexpr std::uint32_t ipv4_bytes = 20;
inline constexpr std::uint32_t ipv4_total = 2;
inline constexpr std::uint32_t ipv4_fragment = 6;
inline constexpr std::uint32_t ipv4_ttl = 8;
inline constexpr std::uint32_t ipv4_protocol = 9;
inline constexpr std::uint32_t ipv4_checksum = 10;
inline constexpr std::uint32_t ipv4_source = 12;
inline constexpr std::uint32_t ipv4_destination = 16;
inline constexpr std::uint16_t ipv4_dont_fragment = 0x4000;
inline constexpr std::uint16_t ipv4_fragment_mask = 0x3fff;  ///< more-fragments and the offset

// IPv6 (RFC 8200).
inline constexpr std::uint32_t ipv6_bytes = 40;
inline constexpr std::uint32_t ipv6_length = 4;
inline constexpr std::uint32_t ipv6_next = 6;
inline constexpr std::uint32_t ipv6_hops = 7;
inline constexpr std::uint32_t ipv6_source = 8;
inline constexpr std::uint32_t ipv6_destination = 24;

inline constexpr std::uint8_t protocol_hop_by_hop = 0;
inline constexpr std::uint8_t protocol_icmp = 1;
inline constexpr std::uint8_t protocol_udp = 17;
inline constexpr std::uint8_t protocol_routing = 43;
inline constexpr std::uint8_t protocol_fragment = 44;
inline constexpr std::uint8_t protocol_icmpv6 = 58;
inline constexpr std::uint8_t protocol_destination_options = 60;

// UDP (RFC 768).
inline constexpr std::uint32_t udp_bytes = 8;
inline constexpr std::uint32_t udp_length = 4;
inline constexpr std::uint32_t udp_checksum = 6;

// ICMP (RFC 792), ICMPv6 (RFC 4443), neighbour discovery (RFC 4861).
inline constexpr std::uint32_t icmp_bytes = 8;
inline constexpr std::uint32_t icmp_checksum = 2;
inline constexpr std::uint8_t icmp_echo_reply = 0;
inline constexpr std::uint8_t icmp_echo_request = 8;
inline constexpr std::uint8_t icmpv6_echo_request = 128;
inline constexpr std::uint8_t icmpv6_echo_reply = 129;
inline constexpr std::uint8_t icmpv6_solicitation = 135;
inline constexpr std::uint8_t icmpv6_advertisement = 136;
inline constexpr std::uint32_t neighbour_target = 8;
inline constexpr std::uint32_t neighbour_options = 24;
inline constexpr std::uint32_t neighbour_message_bytes = 32;  ///< with one link-address option
inline constexpr std::uint8_t option_source_link = 1;
inline constexpr std::uint8_t option_target_link = 2;

inline constexpr std::uint8_t hops = 64;
inline constexpr std::uint8_t neighbour_hops = 255;  ///< proof that no router forwarded it

inline std::uint32_t address_bytes(std::uint8_t family) {
  return family == 4 ? 4 : 16;
}
inline byte_view bytes_of(const std::uint8_t* from, std::size_t count) {
  return {reinterpret_cast<const std::byte*>(from), count};
}
inline void copy_in(std::byte* to, const std::uint8_t* from, std::size_t count) {
  std::memcpy(to, from, count);
}
inline void copy_out(std::uint8_t* to, const std::byte* from, std::size_t count) {
  std::memcpy(to, from, count);
}

}  // namespace millrace::net
