#include "ingest/net_frames.h"

#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "ingest/net_layout.h"

namespace millrace {
namespace {

using bytes = std::vector<std::byte>;

constexpr link_address our_link{0x02, 0x4d, 0x52, 0, 0, 1};
constexpr link_address peer_link{0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};

port_address address(std::string_view text) {
  auto parsed = parse_port_address(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

port_identity us() {
  return {our_link,
          {address("192.0.2.1/24"), address("2001:db8::1/64"), address("198.51.100.7/24")}};
}

endpoint peer(std::string_view text, std::uint16_t port, std::uint16_t vlan = 0) {
  const port_address at =
      address(std::string(text) + (text.find(':') == text.npos ? "/32" : "/128"));
  endpoint out;
  out.address = at.address;
  out.family = at.family;
  out.port = port;
  out.vlan = vlan;
  out.link = our_link;
  return out;
}

/// A datagram as the peer would send it to us.
bytes datagram(std::string_view from, std::string_view to, std::string_view payload,
               std::uint16_t vlan = 0) {
  const endpoint destination = peer(to, 4567, vlan);
  const std::uint32_t headers = udp_headers_bytes(destination);
  bytes frame(headers + payload.size());
  std::memcpy(frame.data() + headers, payload.data(), payload.size());
  const std::string prefix = destination.family == 4 ? "/32" : "/128";
  write_udp_headers(frame, peer_link, address(std::string(from) + prefix), 9000, destination);
  return frame;
}

/// RFC 1071 as written: 16-bit big-endian words, one at a time.
std::uint16_t naive_checksum(byte_view in) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < in.size(); i += 2) {
    const auto high = std::to_integer<std::uint32_t>(in[i]);
    const auto low = i + 1 < in.size() ? std::to_integer<std::uint32_t>(in[i + 1]) : 0;
    sum += high << 8 | low;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

void fix_ipv4_checksum(bytes& frame, std::size_t at = net::ethernet_bytes) {
  const std::size_t header = std::to_integer<std::size_t>(frame[at] & std::byte{15}) * 4;
  net::put16(&frame[at + net::ipv4_checksum], 0);
  net::put16(&frame[at + net::ipv4_checksum], naive_checksum(byte_view(frame).subspan(at, header)));
}

std::string payload_of(const bytes& frame, const parsed_frame& parsed) {
  return {reinterpret_cast<const char*>(frame.data()) + parsed.payload_offset,
          parsed.payload_bytes};
}

frame_drop why(const bytes& frame, const port_identity& who = us(), frame_checks checks = {}) {
  const parsed_frame parsed = parse_frame(frame, who, checks);
  EXPECT_EQ(parsed.kind, frame_kind::dropped);
  return parsed.why;
}

TEST(net_frames, the_checksum_is_that_of_rfc_1071_at_every_length) {
  std::mt19937_64 random(1);
  for (std::size_t length = 0; length < 70; ++length) {
    bytes data(length);
    for (auto& b : data)
      b = static_cast<std::byte>(random());
    EXPECT_EQ(checksum_fold(checksum_add(0, data)), naive_checksum(data)) << length;
    const std::size_t half = length / 2 & ~std::size_t{1};
    const auto first = checksum_add(0, byte_view(data).first(half));
    EXPECT_EQ(checksum_fold(checksum_add(first, byte_view(data).subspan(half))),
              naive_checksum(data));
  }
  const bytes ones(65'535, std::byte{0xff});
  EXPECT_EQ(checksum_fold(checksum_add(0, ones)), naive_checksum(ones));
}

TEST(net_frames, a_known_udp_frame_is_written_byte_for_byte) {
  // Checksums computed by another program: IPv4 header 0xb6c3, UDP 0xbd64.
  const bytes frame = datagram("192.0.2.9", "192.0.2.1", "hi!");
  const std::uint8_t expected[] = {
      0x02, 0x4d, 0x52, 0x00, 0x00, 0x01, 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x08, 0x00,  //
      0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb6, 0xc3,              //
      0xc0, 0x00, 0x02, 0x09, 0xc0, 0x00, 0x02, 0x01,                                      //
      0x23, 0x28, 0x11, 0xd7, 0x00, 0x0b, 0xbd, 0x64, 'h',  'i',  '!'};
  ASSERT_EQ(frame.size(), sizeof expected);
  for (std::size_t i = 0; i < frame.size(); ++i) {
    EXPECT_EQ(std::to_integer<int>(frame[i]), expected[i]) << "byte " << i;
  }
}

TEST(net_frames, what_is_written_is_read_back) {
  struct {
    const char *from, *to;
    std::uint8_t local;
  } const pairs[] = {{"192.0.2.9", "192.0.2.1", 0},
                     {"203.0.113.5", "198.51.100.7", 2},
                     {"2001:db8::99", "2001:db8::1", 1}};
  for (const auto& [from, to, local] : pairs) {
    for (const std::uint16_t vlan : {0, 7, 0x6064}) {
      for (const std::size_t length : {0, 1, 2, 17, 1472}) {
        const std::string text(length, 'x');
        const bytes frame = datagram(from, to, text, vlan);
        const parsed_frame parsed = parse_frame(frame, us(), {});
        ASSERT_EQ(parsed.kind, frame_kind::udp) << to_string(parsed.why);
        EXPECT_EQ(payload_of(frame, parsed), text);
        EXPECT_EQ(parsed.to_port, 4567);
        EXPECT_EQ(parsed.from.port, 9000);
        EXPECT_EQ(parsed.from.address, peer(from, 0).address);
        EXPECT_EQ(parsed.from.link, peer_link);
        EXPECT_EQ(parsed.from.vlan, vlan);
        EXPECT_EQ(parsed.from.local, local);
      }
    }
  }
}

TEST(net_frames, padding_after_the_packet_is_not_payload) {
  bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  frame.resize(60);
  EXPECT_EQ(payload_of(frame, parse_frame(frame, us(), {})), "abc");
}

TEST(net_frames, ip_options_and_extension_headers_are_skipped) {
  bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  frame.insert(frame.begin() + 34, 8, std::byte{1});  // no-operation options
  frame[14] = std::byte{0x47};
  net::put16(&frame[14 + net::ipv4_total], 28 + 8 + 3);
  fix_ipv4_checksum(frame);
  EXPECT_EQ(payload_of(frame, parse_frame(frame, us(), {})), "abc");

  frame = datagram("2001:db8::99", "2001:db8::1", "abc");
  const std::byte extension[16] = {std::byte{17}, std::byte{1}};
  frame.insert(frame.begin() + 54, extension, extension + 16);
  frame[14 + net::ipv6_next] = std::byte{net::protocol_destination_options};
  net::put16(&frame[14 + net::ipv6_length], 16 + 8 + 3);
  EXPECT_EQ(payload_of(frame, parse_frame(frame, us(), {})), "abc");
}

TEST(net_frames, a_tag_that_the_port_stripped_counts_as_one) {
  const bytes plain = datagram("192.0.2.9", "192.0.2.1", "abc");
  EXPECT_EQ(parse_frame(plain, us(), {}, 42).from.vlan, 42);
  const bytes tagged = datagram("192.0.2.9", "192.0.2.1", "abc", 7);
  EXPECT_EQ(parse_frame(tagged, us(), {}, 42).why, frame_drop::stacked_vlan);
}

TEST(net_frames, stacked_tags_are_dropped) {
  bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc", 7);
  net::put16(&frame[16], net::type_vlan);
  EXPECT_EQ(why(frame), frame_drop::stacked_vlan);
  net::put16(&frame[12], net::type_stacked_vlan);
  EXPECT_EQ(why(frame), frame_drop::stacked_vlan);
}

TEST(net_frames, frames_for_others_are_dropped) {
  bytes frame = datagram("192.0.2.9", "192.0.2.2", "abc");
  EXPECT_EQ(why(frame), frame_drop::other_destination);
  frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  frame[5] = std::byte{9};
  EXPECT_EQ(why(frame), frame_drop::other_destination);
  // To our address but to every host's link: nobody should answer that.
  for (int i = 0; i < 6; ++i)
    frame[i] = std::byte{0xff};
  EXPECT_EQ(why(frame), frame_drop::other_destination);
}

TEST(net_frames, a_passive_port_takes_datagrams_to_anyone_and_answers_nothing) {
  const port_identity passive{our_link, {}};
  bytes frame = datagram("192.0.2.9", "10.9.8.7", "abc");
  frame[0] = std::byte{0x77};
  const parsed_frame parsed = parse_frame(frame, passive, {});
  EXPECT_EQ(parsed.kind, frame_kind::udp);
  EXPECT_EQ(payload_of(frame, parsed), "abc");
  bytes request(64);
  request.resize(
      build_resolve_request(peer_link, address("192.0.2.9/24"), peer("192.0.2.1", 0), request));
  EXPECT_EQ(why(request, passive), frame_drop::other_protocol);
}

TEST(net_frames, fragments_are_dropped) {
  for (const std::uint16_t field : {0x2000, 0x0001, 0x2010}) {
    bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc");
    net::put16(&frame[14 + net::ipv4_fragment], field);
    fix_ipv4_checksum(frame);
    EXPECT_EQ(why(frame), frame_drop::fragment);
  }
  bytes frame = datagram("2001:db8::99", "2001:db8::1", "abc");
  frame[14 + net::ipv6_next] = std::byte{net::protocol_fragment};
  EXPECT_EQ(why(frame), frame_drop::fragment);
}

TEST(net_frames, wrong_checksums_are_dropped_where_the_port_does_not_vouch) {
  bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  frame.back() ^= std::byte{1};
  EXPECT_EQ(why(frame), frame_drop::bad_checksum);
  EXPECT_EQ(parse_frame(frame, us(), {.ip_checksum = true, .udp_checksum = false}).kind,
            frame_kind::udp);
  frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  frame[14 + net::ipv4_ttl] ^= std::byte{1};
  EXPECT_EQ(why(frame), frame_drop::bad_checksum);
  EXPECT_EQ(parse_frame(frame, us(), {.ip_checksum = false, .udp_checksum = true}).kind,
            frame_kind::udp);
  // No checksum: fine over IPv4, an error over IPv6.
  frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  net::put16(&frame[34 + net::udp_checksum], 0);
  EXPECT_EQ(parse_frame(frame, us(), {}).kind, frame_kind::udp);
  frame = datagram("2001:db8::99", "2001:db8::1", "abc");
  net::put16(&frame[54 + net::udp_checksum], 0);
  EXPECT_EQ(why(frame), frame_drop::bad_checksum);
}

TEST(net_frames, sources_that_no_host_may_have_are_dropped) {
  EXPECT_EQ(why([] {
              bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc");
              frame[14 + net::ipv4_source] = std::byte{224};
              fix_ipv4_checksum(frame);
              return frame;
            }()),
            frame_drop::bad_source);
  bytes frame = datagram("192.0.2.9", "192.0.2.1", "abc");
  frame[6] |= std::byte{1};
  EXPECT_EQ(why(frame), frame_drop::bad_source);
}

TEST(net_frames, an_arp_request_for_us_is_answered_to_the_asker) {
  for (const std::uint16_t vlan : {0, 7}) {
    bytes request(64);
    request.resize(build_resolve_request(peer_link, address("192.0.2.9/24"),
                                         peer("198.51.100.7", 0, vlan), request));
    const parsed_frame asked = parse_frame(request, us(), {});
    ASSERT_EQ(asked.kind, frame_kind::arp_request);
    bytes answer(frame_answer_bytes_min);
    answer.resize(build_answer(request, asked, us(), answer));
    ASSERT_GT(answer.size(), 0u);
    const port_identity asker{peer_link, {address("192.0.2.9/24")}};
    const parsed_frame heard = parse_frame(answer, asker, {});
    ASSERT_EQ(heard.kind, frame_kind::arp_reply) << to_string(heard.why);
    EXPECT_EQ(heard.from.link, our_link);
    EXPECT_EQ(heard.from.vlan, vlan);
    EXPECT_EQ(heard.from.address, peer("198.51.100.7", 0).address);
  }
  bytes other(64);
  other.resize(
      build_resolve_request(peer_link, address("192.0.2.9/24"), peer("192.0.2.77", 0), other));
  EXPECT_EQ(why(other), frame_drop::other_destination);
}

TEST(net_frames, a_neighbour_solicitation_for_us_is_answered_to_the_asker) {
  bytes request(128);
  request.resize(build_resolve_request(peer_link, address("2001:db8::9/64"),
                                       peer("2001:db8::1", 0, 7), request));
  const parsed_frame asked = parse_frame(request, us(), {});
  ASSERT_EQ(asked.kind, frame_kind::neighbour_request) << to_string(asked.why);
  bytes answer(frame_answer_bytes_min);
  answer.resize(build_answer(request, asked, us(), answer));
  const port_identity asker{peer_link, {address("2001:db8::9/64")}};
  const parsed_frame heard = parse_frame(answer, asker, {});
  ASSERT_EQ(heard.kind, frame_kind::neighbour_reply) << to_string(heard.why);
  EXPECT_EQ(heard.from.link, our_link);
  EXPECT_EQ(heard.from.address, peer("2001:db8::1", 0).address);
  // A forwarded one proves nothing.
  request[18 + net::ipv6_hops] = std::byte{64};
  EXPECT_EQ(why(request), frame_drop::bad_header);
}

TEST(net_frames, a_host_that_asks_whether_our_address_is_taken_hears_it_with_all_nodes) {
  port_address unspecified;
  unspecified.family = 6;
  bytes request(128);
  request.resize(build_resolve_request(peer_link, unspecified, peer("2001:db8::1", 0), request));
  const parsed_frame asked = parse_frame(request, us(), {});
  ASSERT_EQ(asked.kind, frame_kind::neighbour_request) << to_string(asked.why);
  bytes answer(frame_answer_bytes_min);
  answer.resize(build_answer(request, asked, us(), answer));
  EXPECT_EQ(answer[0], std::byte{0x33});
  EXPECT_EQ(answer[14 + net::ipv6_destination], std::byte{0xff});
  EXPECT_EQ(answer[14 + net::ipv6_destination + 15], std::byte{1});
}

/// An echo request from the peer, ICMP or ICMPv6 by family.
bytes echo_request(std::string_view from, std::string_view to, std::size_t data_bytes) {
  bytes frame = datagram(from, to, std::string(data_bytes, 'e'));
  const bool is_ipv4 = peer(to, 0).family == 4;
  const std::size_t at = is_ipv4 ? 34 : 54;
  std::memset(&frame[at], 0, 8);
  frame[at] = std::byte{is_ipv4 ? net::icmp_echo_request : net::icmpv6_echo_request};
  if (is_ipv4) {
    frame[14 + net::ipv4_protocol] = std::byte{net::protocol_icmp};
    fix_ipv4_checksum(frame);
    net::put16(&frame[at + 2], naive_checksum(byte_view(frame).subspan(at)));
    return frame;
  }
  frame[14 + net::ipv6_next] = std::byte{net::protocol_icmpv6};
  bytes covered(frame.begin() + 22, frame.begin() + 54);
  covered.resize(40);
  net::put16(&covered[34], static_cast<std::uint32_t>(8 + data_bytes));
  covered[39] = std::byte{net::protocol_icmpv6};
  covered.insert(covered.end(), frame.begin() + 54, frame.end());
  net::put16(&frame[at + 2], naive_checksum(covered));
  return frame;
}

TEST(net_frames, echo_is_answered_with_the_same_data) {
  for (const std::size_t length : {0, 1, 56, 1400}) {
    const bytes request = echo_request("192.0.2.9", "192.0.2.1", length);
    const parsed_frame asked = parse_frame(request, us(), {});
    ASSERT_EQ(asked.kind, frame_kind::echo_request) << to_string(asked.why);
    bytes answer(2000);
    answer.resize(build_answer(request, asked, us(), answer));
    ASSERT_EQ(answer.size(), request.size());
    EXPECT_EQ(answer[34], std::byte{net::icmp_echo_reply});
    EXPECT_EQ(naive_checksum(byte_view(answer).subspan(34)), 0);
    EXPECT_EQ(naive_checksum(byte_view(answer).subspan(14, 20)), 0);
    EXPECT_EQ(std::memcmp(&answer[14 + net::ipv4_destination], &request[14 + net::ipv4_source], 4),
              0);
    EXPECT_TRUE(std::equal(answer.begin() + 42, answer.end(), request.begin() + 42));
  }
  const bytes request = echo_request("2001:db8::9", "2001:db8::1", 57);
  const parsed_frame asked = parse_frame(request, us(), {});
  ASSERT_EQ(asked.kind, frame_kind::echo_request) << to_string(asked.why);
  bytes answer(2000);
  answer.resize(build_answer(request, asked, us(), answer));
  ASSERT_EQ(answer.size(), request.size());
  EXPECT_EQ(answer[54], std::byte{net::icmpv6_echo_reply});
}

TEST(net_frames, a_damaged_echo_request_gets_no_answer) {
  bytes request = echo_request("192.0.2.9", "192.0.2.1", 10);
  request.back() ^= std::byte{1};
  EXPECT_EQ(why(request), frame_drop::bad_checksum);
  request = echo_request("2001:db8::9", "2001:db8::1", 10);
  request.back() ^= std::byte{1};
  EXPECT_EQ(why(request), frame_drop::bad_checksum);
}

TEST(net_frames, an_answer_that_does_not_fit_is_not_written) {
  const bytes request = echo_request("192.0.2.9", "192.0.2.1", 500);
  const parsed_frame asked = parse_frame(request, us(), {});
  bytes small(request.size() - 1);
  EXPECT_EQ(build_answer(request, asked, us(), small), 0u);
}

TEST(net_frames, every_truncation_and_flipped_byte_stays_inside_the_frame) {
  std::mt19937_64 random(7);
  std::vector<bytes> seeds = {datagram("192.0.2.9", "192.0.2.1", "some payload"),
                              datagram("2001:db8::99", "2001:db8::1", "some payload", 7),
                              echo_request("192.0.2.9", "192.0.2.1", 20),
                              echo_request("2001:db8::9", "2001:db8::1", 20)};
  for (const char* target : {"192.0.2.1", "2001:db8::1"}) {
    const bool is_ipv4 = peer(target, 0).family == 4;
    bytes request(128);
    request.resize(build_resolve_request(
        peer_link, address(is_ipv4 ? "192.0.2.9/24" : "2001:db8::9/64"), peer(target, 0), request));
    seeds.push_back(request);
  }
  for (const bytes& seed : seeds) {
    for (int round = 0; round < 3000; ++round) {
      // A heap copy of the exact size, so that a sanitizer sees one byte too many.
      const std::size_t length = round % 2 == 0 ? seed.size() : random() % (seed.size() + 1);
      bytes frame(seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(length));
      for (auto flips = random() % 4; flips > 0 && !frame.empty(); --flips) {
        frame[random() % frame.size()] = static_cast<std::byte>(random());
      }
      const parsed_frame parsed =
          parse_frame(frame, us(), {.ip_checksum = false, .udp_checksum = false});
      if (parsed.kind == frame_kind::dropped) continue;
      ASSERT_LE(parsed.payload_offset + parsed.payload_bytes, frame.size());
      bytes answer(std::max<std::size_t>(frame_answer_bytes_min, frame.size() + 4));
      ASSERT_LE(build_answer(frame, parsed, us(), answer), answer.size());
    }
  }
}

TEST(net_frames, addresses_are_parsed_with_precise_errors) {
  EXPECT_EQ(to_string(address("192.0.2.1/24")), "192.0.2.1/24");
  EXPECT_EQ(to_string(address("2001:db8::1/64")), "2001:db8::1/64");
  for (const char* text : {"192.0.2.1", "192.0.2.1/33", "192.0.2.1/", "host/24", "2001:db8::1/129",
                           "224.0.0.1/24", "0.0.0.0/0", "::/64", "192.0.2.1/2x", "/24"}) {
    const auto parsed = parse_port_address(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.failure().message().find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace
