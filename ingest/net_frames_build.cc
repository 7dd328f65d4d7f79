#include <charconv>
#include <cstdio>

#include <arpa/inet.h>

#include "ingest/net_frames.h"
#include "ingest/net_layout.h"

namespace millrace {
namespace {

using namespace net;

std::uint32_t link_header_bytes(std::uint16_t vlan) {
  return ethernet_bytes + (vlan != 0 ? vlan_bytes : 0);
}

/// Ethernet header with the tag; returns where the network header goes.
std::byte* write_link_header(std::byte* at, const std::uint8_t* to, const link_address& from,
                             std::uint16_t vlan, std::uint16_t type) {
  copy_in(at, to, link_bytes);
  copy_in(at + link_bytes, from.data(), link_bytes);
  at += 2 * link_bytes;
  if (vlan != 0) {
    put16(at, type_vlan);
    put16(at + 2, vlan);
    at += vlan_bytes;
  }
  put16(at, type);
  return at + 2;
}

void write_ipv4_header(std::byte* ip, const std::byte* from, const std::byte* to,
                       std::uint8_t protocol, std::uint32_t payload_bytes) {
  std::memset(ip, 0, ipv4_bytes);
  ip[0] = std::byte{0x45};
  put16(ip + ipv4_total, ipv4_bytes + payload_bytes);
  put16(ip + ipv4_fragment, ipv4_dont_fragment);  // so the identification may stay 0 (RFC 6864)
  ip[ipv4_ttl] = std::byte{hops};
  ip[ipv4_protocol] = std::byte{protocol};
  std::memcpy(ip + ipv4_source, from, 4);
  std::memcpy(ip + ipv4_destination, to, 4);
  put16(ip + ipv4_checksum, checksum_fold(checksum_add(0, {ip, ipv4_bytes})));
}

void write_ipv6_header(std::byte* ip, const std::byte* from, const std::byte* to,
                       std::uint8_t protocol, std::uint8_t hop_limit, std::uint32_t payload_bytes) {
  std::memset(ip, 0, ipv6_bytes);
  ip[0] = std::byte{0x60};
  put16(ip + ipv6_length, payload_bytes);
  ip[ipv6_next] = std::byte{protocol};
  ip[ipv6_hops] = std::byte{hop_limit};
  std::memcpy(ip + ipv6_source, from, 16);
  std::memcpy(ip + ipv6_destination, to, 16);
}

/// Checksum of a message under the pseudo header of the IPv4 or IPv6 header at `ip`.
std::uint16_t transport_checksum(const std::byte* ip, std::uint8_t family, std::uint8_t protocol,
                                 byte_view message) {
  std::array<std::byte, 8> rest{};
  put16(rest.data() + 2, static_cast<std::uint32_t>(message.size()));
  rest[7] = std::byte{protocol};
  const byte_view addresses =
      family == 4 ? byte_view(ip + ipv4_source, 8) : byte_view(ip + ipv6_source, 32);
  return checksum_fold(checksum_add(checksum_add(checksum_add(0, addresses), rest), message));
}

const std::byte* as_bytes(const std::uint8_t* from) {
  return reinterpret_cast<const std::byte*>(from);
}

std::uint32_t answer_arp(byte_view request, const parsed_frame& parsed, const link_address& link,
                         mutable_byte_view out) {
  const std::uint32_t bytes = link_header_bytes(parsed.from.vlan) + arp_bytes;
  if (out.size() < bytes) return 0;
  const std::byte* asked = request.data() + parsed.network_offset;
  std::byte* arp =
      write_link_header(out.data(), parsed.from.link.data(), link, parsed.from.vlan, type_arp);
  std::memcpy(arp, asked, arp_operation);
  put16(arp + arp_operation, 2);
  copy_in(arp + arp_sender_link, link.data(), link_bytes);
  std::memcpy(arp + arp_sender_address, asked + arp_target_address, 4);
  std::memcpy(arp + arp_target_link, asked + arp_sender_link, link_bytes + 4);
  return bytes;
}

/// Writes link and IPv6 headers and the ICMPv6 checksum around a discovery message whose first
/// `neighbour_options` bytes are at `message`; adds our link address as option.
void finish_discovery(std::byte* ip, const std::byte* from, const std::byte* to,
                      std::uint8_t option, const link_address& link) {
  write_ipv6_header(ip, from, to, protocol_icmpv6, neighbour_hops, neighbour_message_bytes);
  std::byte* message = ip + ipv6_bytes;
  message[neighbour_options] = std::byte{option};
  message[neighbour_options + 1] = std::byte{1};
  copy_in(message + neighbour_options + 2, link.data(), link_bytes);
  put16(message + icmp_checksum,
        transport_checksum(ip, 6, protocol_icmpv6, {message, neighbour_message_bytes}));
}

std::uint32_t answer_neighbour(const parsed_frame& parsed, const port_identity& us,
                               mutable_byte_view out) {
  const std::uint32_t bytes =
      link_header_bytes(parsed.from.vlan) + ipv6_bytes + neighbour_message_bytes;
  if (out.size() < bytes) return 0;
  // A host that asks whether the address is taken has none yet: the answer goes to all nodes.
  constexpr std::array<std::uint8_t, 16> unspecified{};
  constexpr std::array<std::uint8_t, 16> all_nodes{0xff, 2, 0, 0, 0, 0, 0, 0,
                                                   0,    0, 0, 0, 0, 0, 0, 1};
  constexpr link_address all_nodes_link{0x33, 0x33, 0, 0, 0, 1};
  const bool has_asker = parsed.from.address != unspecified;
  std::byte* ip =
      write_link_header(out.data(), has_asker ? parsed.from.link.data() : all_nodes_link.data(),
                        us.link, parsed.from.vlan, type_ipv6);
  std::byte* message = ip + ipv6_bytes;
  std::memset(message, 0, neighbour_options);
  message[0] = std::byte{icmpv6_advertisement};
  message[4] = has_asker ? std::byte{0x60} : std::byte{0x20};  // solicited, override
  const std::uint8_t* own = us.addresses[parsed.from.local].address.data();
  copy_in(message + neighbour_target, own, 16);
  finish_discovery(ip, as_bytes(own),
                   as_bytes(has_asker ? parsed.from.address.data() : all_nodes.data()),
                   option_target_link, us.link);
  return bytes;
}

std::uint32_t answer_echo(byte_view request, const parsed_frame& parsed, const port_identity& us,
                          mutable_byte_view out) {
  const bool is_ipv4 = parsed.from.family == 4;
  const std::uint32_t before =
      link_header_bytes(parsed.from.vlan) + (is_ipv4 ? ipv4_bytes : ipv6_bytes);
  const std::uint32_t bytes = before + parsed.payload_bytes;
  if (out.size() < bytes) return 0;
  std::byte* ip = write_link_header(out.data(), parsed.from.link.data(), us.link, parsed.from.vlan,
                                    is_ipv4 ? type_ipv4 : type_ipv6);
  std::byte* message = out.data() + before;
  std::memcpy(message, request.data() + parsed.payload_offset, parsed.payload_bytes);
  message[0] = std::byte{is_ipv4 ? icmp_echo_reply : icmpv6_echo_reply};
  put16(message + icmp_checksum, 0);
  const std::byte* own = as_bytes(us.addresses[parsed.from.local].address.data());
  const std::byte* asker = as_bytes(parsed.from.address.data());
  const byte_view whole(message, parsed.payload_bytes);
  if (is_ipv4) {
    write_ipv4_header(ip, own, asker, protocol_icmp, parsed.payload_bytes);
    put16(message + icmp_checksum, checksum_fold(checksum_add(0, whole)));
  } else {
    write_ipv6_header(ip, own, asker, protocol_icmpv6, hops, parsed.payload_bytes);
    put16(message + icmp_checksum, transport_checksum(ip, 6, protocol_icmpv6, whole));
  }
  return bytes;
}

}  // namespace

std::uint32_t build_answer(byte_view request, const parsed_frame& parsed, const port_identity& us,
                           mutable_byte_view out) {
  switch (parsed.kind) {
    case frame_kind::arp_request:
      return answer_arp(request, parsed, us.link, out);
    case frame_kind::neighbour_request:
      return answer_neighbour(parsed, us, out);
    case frame_kind::echo_request:
      return answer_echo(request, parsed, us, out);
    default:
      return 0;
  }
}

std::uint32_t udp_headers_bytes(const endpoint& to) {
  return link_header_bytes(to.vlan) + (to.family == 4 ? ipv4_bytes : ipv6_bytes) + udp_bytes;
}

void write_udp_headers(mutable_byte_view frame, const link_address& link, const port_address& from,
                       std::uint16_t from_port, const endpoint& to) {
  const bool is_ipv4 = to.family == 4;
  const auto payload_bytes = static_cast<std::uint32_t>(frame.size()) - udp_headers_bytes(to);
  const std::uint32_t message_bytes = udp_bytes + payload_bytes;
  std::byte* ip = write_link_header(frame.data(), to.link.data(), link, to.vlan,
                                    is_ipv4 ? type_ipv4 : type_ipv6);
  std::byte* udp = ip + (is_ipv4 ? ipv4_bytes : ipv6_bytes);
  const std::byte* own = as_bytes(from.address.data());
  const std::byte* peer = as_bytes(to.address.data());
  if (is_ipv4) {
    write_ipv4_header(ip, own, peer, protocol_udp, message_bytes);
  } else {
    write_ipv6_header(ip, own, peer, protocol_udp, hops, message_bytes);
  }
  put16(udp, from_port);
  put16(udp + 2, to.port);
  put16(udp + udp_length, message_bytes);
  put16(udp + udp_checksum, 0);
  const std::uint16_t sum = transport_checksum(ip, to.family, protocol_udp, {udp, message_bytes});
  put16(udp + udp_checksum, sum == 0 ? 0xffff : sum);  // 0 would say: none
}

std::uint32_t build_resolve_request(const link_address& link, const port_address& from,
                                    const endpoint& target, mutable_byte_view out) {
  const bool is_ipv4 = target.family == 4;
  const std::uint32_t bytes =
      link_header_bytes(target.vlan) + (is_ipv4 ? arp_bytes : ipv6_bytes + neighbour_message_bytes);
  if (out.size() < bytes) return 0;
  if (is_ipv4) {
    constexpr link_address broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    std::byte* arp = write_link_header(out.data(), broadcast.data(), link, target.vlan, type_arp);
    std::memset(arp, 0, arp_bytes);
    put16(arp, 1);
    put16(arp + 2, type_ipv4);
    arp[4] = std::byte{link_bytes};
    arp[5] = std::byte{4};
    put16(arp + arp_operation, 1);
    copy_in(arp + arp_sender_link, link.data(), link_bytes);
    copy_in(arp + arp_sender_address, from.address.data(), 4);
    copy_in(arp + arp_target_address, target.address.data(), 4);
    return bytes;
  }
  // The group of all hosts whose address ends in the same 24 bits (RFC 4291, 2.7.1).
  const auto& wanted = target.address;
  const std::array<std::uint8_t, 16> group{0xff, 2, 0, 0, 0,    0,          0,          0,
                                           0,    0, 0, 1, 0xff, wanted[13], wanted[14], wanted[15]};
  const link_address group_link{0x33, 0x33, 0xff, wanted[13], wanted[14], wanted[15]};
  std::byte* ip = write_link_header(out.data(), group_link.data(), link, target.vlan, type_ipv6);
  std::byte* message = ip + ipv6_bytes;
  std::memset(message, 0, neighbour_options);
  message[0] = std::byte{icmpv6_solicitation};
  copy_in(message + neighbour_target, wanted.data(), 16);
  finish_discovery(ip, as_bytes(from.address.data()), as_bytes(group.data()), option_source_link,
                   link);
  return bytes;
}

std::string to_string(const link_address& link) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", link[0], link[1],
                link[2], link[3], link[4], link[5]);
  return text.data();
}

result<port_address> parse_port_address(std::string_view text) {
  const auto refuse = [&](const std::string& why) {
    return error(error_code::invalid_argument,
                 "address '" + std::string(text) + "' " + why +
                     "; expected an address and its prefix length, as 192.0.2.1/24 or "
                     "2001:db8::1/64");
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return refuse("has no prefix length");
  const std::string address(text.substr(0, slash));
  port_address out;
  if (inet_pton(AF_INET, address.c_str(), out.address.data()) == 1) {
    out.family = 4;
  } else if (inet_pton(AF_INET6, address.c_str(), out.address.data()) == 1) {
    out.family = 6;
  } else {
    return refuse("is not an IPv4 or IPv6 address");
  }
  const std::string_view bits = text.substr(slash + 1);
  const unsigned bits_max = out.family == 4 ? 32 : 128;
  unsigned value = 0;
  const auto [end, failed] = std::from_chars(bits.data(), bits.data() + bits.size(), value);
  if (failed != std::errc() || end != bits.data() + bits.size() || value > bits_max) {
    return refuse("has a prefix length that is not a number from 0 to " + std::to_string(bits_max));
  }
  const bool is_group = out.address[0] >= (out.family == 4 ? 224 : 255);
  if (is_group || out.address == decltype(out.address){}) {
    return refuse("is not an address of one host");
  }
  out.prefix_bits = static_cast<std::uint8_t>(value);
  return out;
}

std::string to_string(const port_address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.address.data(), text.data(),
            static_cast<socklen_t>(text.size()));
  return std::string(text.data()) + "/" + std::to_string(address.prefix_bits);
}

}  // namespace millrace
