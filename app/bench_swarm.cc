#include "app/bench_swarm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "base/limits.h"
#include "ingest/wire_codec.h"

namespace millrace {

result<std::unique_ptr<swarm_source>> swarm_source::create(arena& from, byte_view payload,
                                                           std::uint16_t record_count,
                                                           const options& with) {
  auto made = std::unique_ptr<swarm_source>(new swarm_source);
  made->options_ = with;
  made->clients_.resize(with.sessions);
  made->payload_bytes_ = static_cast<std::uint32_t>(payload.size());
  made->record_count_ = record_count;
  const std::uint64_t bytes = align_up(wire::datagram_bytes(made->payload_bytes_, false), 64);
  for (std::uint32_t i = 0; i < with.outstanding_max; ++i) {
    MILLRACE_ASSIGN(const mutable_byte_view room, from.carve(bytes, 64, "swarm datagrams"));
    std::memcpy(room.data() + sizeof(wire::datagram_header), payload.data(), payload.size());
    made->buffers_.push_back(room.data());
    made->free_.push_back(i);
  }
  return made;
}

endpoint swarm_source::peer(std::uint32_t i) {
  endpoint to;
  std::memcpy(to.address.data(), &i, sizeof i);
  to.port = 1;
  return to;
}

std::uint32_t swarm_source::receive(std::span<received_packet> out) {
  if (!is_sending_) return 0;
  std::uint32_t count = 0;
  // Where nobody has credit, nothing comes: it ends after one round of refusals.
  for (std::uint32_t refused = 0; refused < options_.active && count < out.size();) {
    if (free_.empty()) {
      if (count == 0) ++stalled_;
      break;
    }
    const std::uint32_t turn = turn_;
    turn_ = turn_ + 1 < options_.active ? turn_ + 1 : 0;
    client& from = clients_[turn];
    if (from.session == 0 || from.sent_bytes + payload_bytes_ > from.credit_limit) {
      ++refused;
      continue;
    }
    refused = 0;
    wire::datagram_header header{};
    header.type = static_cast<std::uint8_t>(wire::datagram_type::data);
    header.record_count = record_count_;
    header.session = from.session;
    header.session_slot = from.slot;
    header.packet_number = from.next_packet++;
    header.first_record = from.next_record;
    header.payload_bytes = payload_bytes_;
    const std::uint32_t buffer = free_.back();
    free_.pop_back();
    const std::uint32_t bytes = wire::seal_datagram(buffers_[buffer], header, nullptr, nullptr);
    from.next_record += record_count_;
    from.sent_bytes += payload_bytes_;
    out[count++] = {.bytes = mutable_byte_view(buffers_[buffer], bytes),
                    .from = peer(turn),
                    .buffer = buffer,
                    .buffer_bytes = bytes};
  }
  return count;
}

void swarm_source::release(std::uint64_t buffer) {
  free_.push_back(static_cast<std::uint32_t>(buffer));
}

std::uint32_t swarm_source::send(std::span<const outgoing_packet> packets) {
  for (const outgoing_packet& packet : packets) {
    std::uint32_t i = 0;
    std::memcpy(&i, packet.to.address.data(), sizeof i);
    take_reply(clients_[i], packet.bytes);
  }
  return static_cast<std::uint32_t>(packets.size());
}

void swarm_source::take_reply(client& to, byte_view bytes) {
  std::array<std::byte, limits::datagram_bytes_min> copy;
  if (bytes.size() > copy.size()) return;
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  wire::datagram from;
  const mutable_byte_view text(copy.data(), bytes.size());
  if (wire::parse_datagram(text, from) != wire::datagram_fault::none) return;
  if (from.type() == wire::datagram_type::open_ack) {
    const auto ack = from.as<wire::open_ack_payload>();
    if (to.session == 0) ++opened_;
    to.session = from.header.session;
    to.slot = from.header.session_slot;
    to.next_record = ack.next_record;
    to.credit_limit = ack.credit_limit;
  } else if (from.type() == wire::datagram_type::ack) {
    to.credit_limit = std::max(to.credit_limit, from.as<wire::ack_payload>().credit_limit);
  }
}

std::uint32_t swarm_source::datagram_bytes_max() const {
  return limits::datagram_bytes_max;
}

source_counters swarm_source::counters() const {
  return {
      .dropped = 0, .stalled = stalled_, .buffers = buffers_.size(), .buffers_free = free_.size()};
}

std::string swarm_source::describe() const {
  return std::to_string(clients_.size()) + " producers in memory";
}

}  // namespace millrace
