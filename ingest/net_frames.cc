#include "ingest/net_frames.h"

#include <algorithm>

#include "ingest/net_layout.h"

namespace millrace {
namespace {

using namespace net;

bool is_group(const std::byte* link) {
  return (get8(link) & 1) != 0;
}

/// Index of the address in ours, or -1.
int find_local(const port_identity& us, std::uint8_t family, const std::byte* address) {
  for (std::size_t i = 0; i < us.addresses.size(); ++i) {
    const port_address& own = us.addresses[i];
    if (own.family == family &&
        std::memcmp(own.address.data(), address, address_bytes(family)) == 0) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

/// Addresses that no single host sends from: answering them would answer a crowd.
bool is_bad_source(std::uint8_t family, const std::byte* address) {
  const std::uint8_t first = get8(address);
  if (family == 4) return first == 0 || first >= 224;
  return first == 0xff ||
         std::all_of(address, address + 16, [](std::byte b) { return b == std::byte{0}; });
}

/// Reads one frame; every step either narrows it down or drops it with a reason.
class frame_reader {
 public:
  frame_reader(byte_view frame, const port_identity& us, const frame_checks& checks)
      : frame_(frame), us_(us), checks_(checks) {}

  parsed_frame read(std::uint16_t stripped_vlan) {
    if (frame_.size() < ethernet_bytes) return drop(frame_drop::truncated);
    const std::byte* at = frame_.data();
    copy_out(out_.from.link.data(), at + link_bytes, link_bytes);
    if (is_group(at + link_bytes)) return drop(frame_drop::bad_source);
    is_group_frame_ = is_group(at);
    if (!us_.passive() && !is_group_frame_ && std::memcmp(at, us_.link.data(), link_bytes) != 0) {
      return drop(frame_drop::other_destination);
    }
    std::uint16_t type = get16(at + 12);
    std::uint32_t offset = ethernet_bytes;
    out_.from.vlan = stripped_vlan;
    if (type == type_stacked_vlan) return drop(frame_drop::stacked_vlan);
    if (type == type_vlan) {
      if (stripped_vlan != 0) return drop(frame_drop::stacked_vlan);
      if (frame_.size() < ethernet_bytes + vlan_bytes) return drop(frame_drop::truncated);
      out_.from.vlan = get16(at + 14);
      type = get16(at + 16);
      offset += vlan_bytes;
      if (type == type_vlan || type == type_stacked_vlan) return drop(frame_drop::stacked_vlan);
    }
    out_.network_offset = offset;
    switch (type) {
      case type_ipv4:
        return read_ipv4();
      case type_ipv6:
        return read_ipv6();
      case type_arp:
        return read_arp();
      default:
        return drop(frame_drop::other_protocol);
    }
  }

 private:
  parsed_frame drop(frame_drop why) {
    out_.kind = frame_kind::dropped;
    out_.why = why;
    return out_;
  }
  parsed_frame keep(frame_kind kind) {
    out_.kind = kind;
    return out_;
  }

  /// Notes which of our addresses `address` is; false when none is and we are not passive.
  bool is_ours(const std::byte* address) {
    if (us_.passive()) return true;
    const int local = find_local(us_, out_.from.family, address);
    out_.from.local = static_cast<std::uint8_t>(std::max(local, 0));
    return local >= 0;
  }

  parsed_frame read_arp() {
    if (us_.passive()) return drop(frame_drop::other_protocol);
    const byte_view arp = frame_.subspan(out_.network_offset);
    if (arp.size() < arp_bytes) return drop(frame_drop::truncated);
    const bool is_ethernet_ipv4 = get16(arp.data()) == 1 && get16(arp.data() + 2) == type_ipv4 &&
                                  get8(arp.data() + 4) == link_bytes && get8(arp.data() + 5) == 4;
    const std::uint16_t operation = get16(arp.data() + arp_operation);
    if (!is_ethernet_ipv4 || operation < 1 || operation > 2) return drop(frame_drop::bad_header);
    if (is_group(arp.data() + arp_sender_link)) return drop(frame_drop::bad_source);
    out_.from.family = 4;
    copy_out(out_.from.address.data(), arp.data() + arp_sender_address, 4);
    copy_out(out_.from.link.data(), arp.data() + arp_sender_link, link_bytes);
    if (!is_ours(arp.data() + arp_target_address)) return drop(frame_drop::other_destination);
    return keep(operation == 1 ? frame_kind::arp_request : frame_kind::arp_reply);
  }

  parsed_frame read_ipv4() {
    const byte_view rest = frame_.subspan(out_.network_offset);
    if (rest.size() < ipv4_bytes) return drop(frame_drop::truncated);
    const std::byte* ip = rest.data();
    const std::uint32_t header = (get8(ip) & 0x0fu) * 4;
    const std::uint32_t total = get16(ip + ipv4_total);
    if (get8(ip) >> 4 != 4 || header < ipv4_bytes || total < header) {
      return drop(frame_drop::bad_header);
    }
    if (total > rest.size()) return drop(frame_drop::truncated);
    if (checks_.ip_checksum && checksum_fold(checksum_add(0, rest.first(header))) != 0) {
      return drop(frame_drop::bad_checksum);
    }
    out_.from.family = 4;
    copy_out(out_.from.address.data(), ip + ipv4_source, 4);
    if (!is_ours(ip + ipv4_destination)) return drop(frame_drop::other_destination);
    if (is_group_frame_ && !us_.passive()) return drop(frame_drop::other_destination);
    if (is_bad_source(4, ip + ipv4_source)) return drop(frame_drop::bad_source);
    if ((get16(ip + ipv4_fragment) & ipv4_fragment_mask) != 0) return drop(frame_drop::fragment);

    const std::uint8_t protocol = get8(ip + ipv4_protocol);
    const std::uint32_t offset = out_.network_offset + header;
    if (protocol == protocol_udp) {
      return read_udp(offset, total - header, rest.subspan(ipv4_source, 8));
    }
    if (protocol == protocol_icmp && !us_.passive()) return read_icmp(offset, total - header);
    return drop(frame_drop::other_protocol);
  }

  parsed_frame read_ipv6() {
    const byte_view rest = frame_.subspan(out_.network_offset);
    if (rest.size() < ipv6_bytes) return drop(frame_drop::truncated);
    const std::byte* ip = rest.data();
    if (get8(ip) >> 4 != 6) return drop(frame_drop::bad_header);
    std::uint32_t length = get16(ip + ipv6_length);
    if (ipv6_bytes + length > rest.size()) return drop(frame_drop::truncated);
    out_.from.family = 6;
    copy_out(out_.from.address.data(), ip + ipv6_source, 16);

    std::uint8_t next = get8(ip + ipv6_next);
    std::uint32_t offset = out_.network_offset + ipv6_bytes;
    // Extension headers that may be skipped; each pass takes at least 8 bytes off `length`.
    while (next == protocol_hop_by_hop || next == protocol_destination_options ||
           next == protocol_routing) {
      if (length < 8) return drop(frame_drop::bad_header);
      const std::byte* extension = frame_.data() + offset;
      const std::uint32_t bytes = (get8(extension + 1) + 1u) * 8;
      if (bytes > length) return drop(frame_drop::bad_header);
      next = get8(extension);
      offset += bytes;
      length -= bytes;
    }
    const byte_view addresses = rest.subspan(ipv6_source, 32);
    // Neighbour discovery goes to group addresses; what it is about stands in the message.
    if (next == protocol_icmpv6 && !us_.passive()) {
      return read_icmpv6(offset, length, addresses, get8(ip + ipv6_hops));
    }
    if (!is_ours(ip + ipv6_destination)) return drop(frame_drop::other_destination);
    if (is_group_frame_ && !us_.passive()) return drop(frame_drop::other_destination);
    if (is_bad_source(6, ip + ipv6_source)) return drop(frame_drop::bad_source);
    if (next == protocol_fragment) return drop(frame_drop::fragment);
    if (next == protocol_udp) return read_udp(offset, length, addresses);
    return drop(frame_drop::other_protocol);
  }

  /// The checksum over a transport message and the pseudo header, 0 when right.
  std::uint16_t transport_checksum(byte_view addresses, std::uint8_t protocol, byte_view message) {
    std::array<std::byte, 8> rest{};
    put16(rest.data() + 2, static_cast<std::uint32_t>(message.size()));
    rest[7] = std::byte{protocol};
    return checksum_fold(checksum_add(checksum_add(checksum_add(0, addresses), rest), message));
  }

  parsed_frame read_udp(std::uint32_t offset, std::uint32_t bytes, byte_view addresses) {
    if (bytes < udp_bytes) return drop(frame_drop::truncated);
    const std::byte* udp = frame_.data() + offset;
    const std::uint32_t length = get16(udp + udp_length);
    if (length < udp_bytes) return drop(frame_drop::bad_header);
    if (length > bytes) return drop(frame_drop::truncated);
    const bool has_checksum = get16(udp + udp_checksum) != 0;
    if (checks_.udp_checksum) {
      // Optional over IPv4 only.
      if (!has_checksum && out_.from.family == 6) return drop(frame_drop::bad_checksum);
      if (has_checksum &&
          transport_checksum(addresses, protocol_udp, frame_.subspan(offset, length)) != 0) {
        return drop(frame_drop::bad_checksum);
      }
    }
    out_.from.port = get16(udp);
    out_.to_port = get16(udp + 2);
    out_.payload_offset = offset + udp_bytes;
    out_.payload_bytes = length - udp_bytes;
    return keep(frame_kind::udp);
  }

  parsed_frame read_icmp(std::uint32_t offset, std::uint32_t bytes) {
    if (bytes < icmp_bytes) return drop(frame_drop::truncated);
    const byte_view message = frame_.subspan(offset, bytes);
    if (get8(message.data()) != icmp_echo_request) return drop(frame_drop::other_protocol);
    if (checksum_fold(checksum_add(0, message)) != 0) return drop(frame_drop::bad_checksum);
    out_.payload_offset = offset;
    out_.payload_bytes = bytes;
    return keep(frame_kind::echo_request);
  }

  parsed_frame read_icmpv6(std::uint32_t offset, std::uint32_t bytes, byte_view addresses,
                           std::uint8_t hop_limit) {
    if (bytes < icmp_bytes) return drop(frame_drop::truncated);
    const byte_view message = frame_.subspan(offset, bytes);
    const std::uint8_t type = get8(message.data());
    out_.payload_offset = offset;
    out_.payload_bytes = bytes;
    const bool is_discovery = type == icmpv6_solicitation || type == icmpv6_advertisement;
    if (!is_discovery && type != icmpv6_echo_request) return drop(frame_drop::other_protocol);
    if (transport_checksum(addresses, protocol_icmpv6, message) != 0) {
      return drop(frame_drop::bad_checksum);
    }
    if (is_discovery) return read_discovery(message, addresses, hop_limit);
    if (!is_ours(addresses.data() + 16) || is_group_frame_) {
      return drop(frame_drop::other_destination);
    }
    if (is_bad_source(6, addresses.data())) return drop(frame_drop::bad_source);
    return keep(frame_kind::echo_request);
  }

  parsed_frame read_discovery(byte_view message, byte_view addresses, std::uint8_t hop_limit) {
    if (message.size() < neighbour_options) return drop(frame_drop::truncated);
    if (hop_limit != neighbour_hops || get8(message.data() + 1) != 0) {
      return drop(frame_drop::bad_header);
    }
    const std::byte* target = message.data() + neighbour_target;
    if (get8(message.data()) == icmpv6_solicitation) {
      // The unspecified source asks whether the address is taken: it gets an answer to all nodes.
      if (get8(addresses.data()) == 0xff) return drop(frame_drop::bad_source);
      if (!is_ours(target)) return drop(frame_drop::other_destination);
      return keep(frame_kind::neighbour_request);
    }
    if (!is_ours(addresses.data() + 16)) return drop(frame_drop::other_destination);
    copy_out(out_.from.address.data(), target, 16);
    copy_link_option(message);
    return keep(frame_kind::neighbour_reply);
  }

  /// The link address an advertisement states; without one, that of its frame stays.
  void copy_link_option(byte_view message) {
    std::size_t at = neighbour_options;
    while (at + 8 <= message.size()) {
      const std::byte* option = message.data() + at;
      const std::size_t bytes = std::size_t{get8(option + 1)} * 8;
      if (bytes == 0) return;
      if (get8(option) == option_target_link && !is_group(option + 2)) {
        copy_out(out_.from.link.data(), option + 2, link_bytes);
        return;
      }
      at += bytes;
    }
  }

  byte_view frame_;
  const port_identity& us_;
  const frame_checks& checks_;
  parsed_frame out_;
  bool is_group_frame_ = false;
};

}  // namespace

parsed_frame parse_frame(byte_view frame, const port_identity& us, const frame_checks& checks,
                         std::uint16_t stripped_vlan) {
  return frame_reader(frame, us, checks).read(stripped_vlan);
}

std::uint64_t checksum_add(std::uint64_t sum, byte_view bytes) {
  // Words in memory order: the sum is the same up to a byte swap, which fold() does.
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    const auto word = load<std::uint64_t>(at);
    sum += (word & 0xffff'ffffu) + (word >> 32);
  }
  std::uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, at, left);
  return sum + (tail & 0xffff'ffffu) + (tail >> 32);
}

std::uint16_t checksum_fold(std::uint64_t sum) {
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return swap16(static_cast<std::uint16_t>(~sum));
}

std::string_view to_string(frame_drop why) {
  switch (why) {
#define X(name, text)    \
  case frame_drop::name: \
    return #name;
    MILLRACE_FRAME_DROPS(X)
#undef X
    case frame_drop::count:
      break;
  }
  return "unknown";
}

}  // namespace millrace
