/// Frames from the network: whatever the bytes, nothing outside them is read, what is found lies
/// within them, and answers fit.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "ingest/net_frames.h"

namespace {

using namespace millrace;

void require(bool condition) {
  if (!condition) std::abort();
}

port_identity identity(bool passive) {
  port_identity us{{0x02, 0x4d, 0x52, 0, 0, 1}, {}};
  if (passive) return us;
  for (const char* text : {"192.0.2.1/24", "2001:db8::1/64", "198.51.100.7/24"})
    us.addresses.push_back(*parse_port_address(text));
  return us;
}

void read_and_answer(byte_view frame, const port_identity& us, const frame_checks& checks,
                     std::uint16_t vlan) {
  const parsed_frame parsed = parse_frame(frame, us, checks, vlan);
  if (parsed.kind == frame_kind::dropped) {
    require(parsed.why < frame_drop::count);
    return;
  }
  require(std::size_t{parsed.payload_offset} + parsed.payload_bytes <= frame.size());
  require(us.passive() || parsed.from.local < us.addresses.size());
  std::vector<std::byte> answer(std::max<std::size_t>(frame_answer_bytes_min, frame.size() + 4));
  const std::uint32_t bytes = build_answer(frame, parsed, us, answer);
  require(bytes <= answer.size());
  const bool is_request = parsed.kind == frame_kind::arp_request ||
                          parsed.kind == frame_kind::neighbour_request ||
                          parsed.kind == frame_kind::echo_request;
  require(is_request == (bytes > 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const port_identity active = identity(false);
  static const port_identity passive = identity(true);
  if (size < 1) return 0;
  const std::uint8_t how = data[0];
  const byte_view frame(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  const frame_checks checks{.ip_checksum = (how & 1) != 0, .udp_checksum = (how & 2) != 0};
  const std::uint16_t vlan = (how & 4) != 0 ? 12 : 0;
  read_and_answer(frame, active, checks, vlan);
  read_and_answer(frame, passive, checks, vlan);
  return 0;
}
