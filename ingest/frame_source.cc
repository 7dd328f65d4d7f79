#include "ingest/frame_source.h"

#include <algorithm>

#include "base/clock.h"
#include "ingest/net_layout.h"

namespace millrace {
namespace {

constexpr link_address no_link{};

bool same_network(const port_address& own, const endpoint& to) {
  for (unsigned bit = 0; bit < own.prefix_bits; bit += 8) {
    const unsigned bits = std::min(own.prefix_bits - bit, 8u);
    const unsigned mask = 0xff00u >> bits;
    if (((own.address[bit / 8] ^ to.address[bit / 8]) & mask & 0xff) != 0) return false;
  }
  return true;
}

}  // namespace

frame_source::frame_source(std::unique_ptr<frame_device> device, frame_source_options options)
    : device_(std::move(device)), options_(std::move(options)) {}

std::uint32_t frame_source::datagram_bytes_max() const {
  const bool has_ipv6 = std::ranges::any_of(options_.identity.addresses,
                                            [](const port_address& a) { return a.family == 6; });
  const std::uint32_t headers = (has_ipv6 ? net::ipv6_bytes : net::ipv4_bytes) + net::udp_bytes;
  return std::min(options_.mtu - headers, limits::datagram_bytes_max);
}

std::uint32_t frame_source::receive(std::span<received_packet> out) {
  const std::size_t wanted = std::min(out.size(), frames_.size());
  std::uint32_t unjoined = 0;
  const std::uint32_t count = device_->receive(std::span(frames_).first(wanted), unjoined);
  if (unjoined > 0) drops_[static_cast<std::size_t>(frame_drop::too_many_segments)].add(unjoined);
  if (count == 0 && held_.get() >= options_.buffers) stalled_.add(1);
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i + 4 < count) __builtin_prefetch(frames_[i + 4].bytes);
    if (accept(frames_[i], out[taken])) {
      ++taken;
    } else {
      device_->release(frames_[i].buffer);
    }
  }
  held_.add(taken);
  return taken;
}

bool frame_source::accept(const device_frame& frame, received_packet& out) {
  if (frame.checksum_is_bad) {
    drop(frame_drop::bad_checksum);
    return false;
  }
  const frame_checks checks{.ip_checksum = !frame.ip_is_good,
                            .udp_checksum = options_.verify_udp && !frame.udp_is_good};
  const parsed_frame parsed =
      parse_frame({frame.bytes, frame.length}, options_.identity, checks, frame.vlan);
  switch (parsed.kind) {
    case frame_kind::udp: {
      const int listener = find_listener(parsed.to_port);
      if (listener < 0) {
        drop(frame_drop::no_listener);
        return false;
      }
      out.bytes = {frame.bytes + parsed.payload_offset, parsed.payload_bytes};
      out.from = parsed.from;
      out.buffer = frame.buffer;
      out.buffer_bytes = options_.buffer_bytes;
      out.listener = static_cast<std::uint16_t>(listener);
      return true;
    }
    case frame_kind::arp_reply:
    case frame_kind::neighbour_reply:
      neighbours_.learn(parsed.from, monotonic_us());
      return false;
    case frame_kind::arp_request:
    case frame_kind::neighbour_request:
    case frame_kind::echo_request:
      answer(frame, parsed);
      return false;
    case frame_kind::dropped:
      drop(parsed.why);
      return false;
  }
  return false;
}

int frame_source::find_listener(std::uint16_t port) const {
  for (std::size_t i = 0; i < options_.listen_ports.size(); ++i) {
    if (options_.listen_ports[i] == port) return static_cast<int>(i);
  }
  return -1;
}

void frame_source::answer(const device_frame& frame, const parsed_frame& parsed) {
  device_frame reply;
  if (device_->claim({&reply, 1}) == 0) return;
  reply.length = build_answer({frame.bytes, frame.length}, parsed, options_.identity,
                              {reply.bytes, reply.capacity});
  if (device_->transmit({&reply, 1}) == 1) answered_.add(1);
}

void frame_source::release(std::uint64_t buffer) {
  device_->release(buffer);
  held_.value.store(held_.get() - 1, std::memory_order_relaxed);
}

const port_address* frame_source::local_address(const endpoint& to) const {
  const auto& own = options_.identity.addresses;
  const bool wrote_to_us = to.link != no_link;
  if (wrote_to_us && to.local < own.size() && own[to.local].family == to.family) {
    return &own[to.local];
  }
  const port_address* any = nullptr;
  for (const port_address& one : own) {
    if (one.family != to.family) continue;
    if (same_network(one, to)) return &one;
    if (!any) any = &one;
  }
  return any;
}

/// Writes the packet, or a question for its peer's link address, into the frame. Returns the
/// frame's length, 0 when there is nothing to send.
std::uint32_t frame_source::write(const outgoing_packet& packet, device_frame& frame,
                                  std::uint64_t now_us) {
  const port_address* own = local_address(packet.to);
  const std::uint32_t headers = udp_headers_bytes(packet.to);
  const std::uint64_t length = headers + packet.bytes.size();
  const std::uint32_t link_bytes =
      net::ethernet_bytes + (packet.to.vlan != 0 ? net::vlan_bytes : 0);
  if (!own || packet.listener >= options_.listen_ports.size() || length > frame.capacity ||
      length - link_bytes > options_.mtu) {
    unsendable_.add(1);
    return 0;
  }
  endpoint to = packet.to;
  if (to.link == no_link) {
    const neighbour_table::answer found = neighbours_.find(to, now_us);
    if (!found.link) resolving_.add(1);
    // While a known address is asked for again, the question takes this packet's place: it is sent
    // once in half a minute, and the protocol repairs it.
    if (!found.link || found.ask) {
      return found.ask ? build_resolve_request(options_.identity.link, *own, to,
                                               {frame.bytes, frame.capacity})
                       : 0;
    }
    to.link = *found.link;
  }
  std::copy(packet.bytes.begin(), packet.bytes.end(), frame.bytes + headers);
  write_udp_headers({frame.bytes, static_cast<std::size_t>(length)}, options_.identity.link, *own,
                    options_.listen_ports[packet.listener], to);
  return static_cast<std::uint32_t>(length);
}

std::uint32_t frame_source::send(std::span<const outgoing_packet> packets) {
  std::array<device_frame, limits::burst_packets_max> frames;
  std::uint32_t done = 0;
  const std::uint64_t now_us = monotonic_us();
  while (done < packets.size()) {
    const std::size_t wanted = std::min(packets.size() - done, frames.size());
    const std::uint32_t claimed = device_->claim(std::span(frames).first(wanted));
    if (claimed == 0) return done;
    std::uint32_t filled = 0;
    for (std::uint32_t i = 0; i < claimed; ++i) {
      frames[filled].length = write(packets[done + i], frames[filled], now_us);
      if (frames[filled].length > 0) ++filled;
    }
    for (std::uint32_t i = filled; i < claimed; ++i)
      frames[i].length = 0;
    const std::uint32_t sent = device_->transmit(std::span(frames).first(claimed));
    // The lost ones among the packets count as sent; which of the rest those were does not matter.
    done += claimed - (filled - sent);
    if (sent < filled) return done;
  }
  return done;
}

source_counters frame_source::counters() const {
  const auto dropped = [this](frame_drop why) {
    return drops_[static_cast<std::size_t>(why)].get();
  };
  const std::uint64_t held = std::min<std::uint64_t>(held_.get(), options_.buffers);
  return {.dropped = device_->lost() + dropped(frame_drop::truncated) +
                     dropped(frame_drop::fragment) + dropped(frame_drop::bad_checksum) +
                     dropped(frame_drop::too_many_segments),
          .stalled = stalled_.get(),
          .buffers = options_.buffers,
          .buffers_free = options_.buffers - held};
}

std::vector<source_statistic> frame_source::statistics() const {
  std::vector<source_statistic> out = device_->statistics();
  for (std::size_t i = 0; i < drops_.size(); ++i) {
    out.push_back(
        {"frames_dropped_" + std::string(to_string(static_cast<frame_drop>(i))), drops_[i].get()});
  }
  out.push_back({"frames_answered", answered_.get()});
  out.push_back({"packets_unresolved", resolving_.get()});
  out.push_back({"packets_unsendable", unsendable_.get()});
  return out;
}

}  // namespace millrace
