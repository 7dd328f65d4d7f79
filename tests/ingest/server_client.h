#pragma once
/// What the tests of the record server are made of: a source that keeps replies, a client's state,
/// and a reply with its parts.
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "ingest/packet_source.h"
#include "ingest/wire_codec.h"

namespace millrace::test {

/// Takes what the server sends; hands out nothing.
class capture_source final : public packet_source {
 public:
  std::uint32_t receive(std::span<received_packet>) override { return 0; }
  void release(std::uint64_t) override {}
  std::uint32_t send(std::span<const outgoing_packet> packets) override {
    for (const outgoing_packet& one : packets) {
      sent.emplace_back(one.to, std::vector<std::byte>(one.bytes.begin(), one.bytes.end()));
    }
    return static_cast<std::uint32_t>(packets.size());
  }
  int poll_fd() const override { return -1; }
  std::uint32_t datagram_bytes_max() const override { return limits::datagram_bytes_max; }
  source_counters counters() const override { return now; }
  std::string describe() const override { return "capture"; }

  std::vector<std::pair<endpoint, std::vector<std::byte>>> sent;
  source_counters now{.dropped = 0, .stalled = 0, .buffers = 100, .buffers_free = 100};
};

inline endpoint client_address(std::uint16_t port = 5000) {
  endpoint made;
  made.family = 4;
  made.address = {127, 0, 0, 1};
  made.port = port;
  return made;
}

inline std::vector<std::byte> make_record(std::string_view key, std::string_view data) {
  std::vector<std::byte> bytes(record_stride(key.size(), data.size(), false));
  write_record(bytes.data(), key, std::as_bytes(std::span(data)), nullptr);
  return bytes;
}

/// A reply of the server, verified.
struct reply {
  wire::datagram_type type{};
  wire::datagram_header header{};
  std::vector<std::byte> payload;
  std::size_t datagram_bytes = 0;
  endpoint to;

  template <class Payload>
  Payload as() const {
    return load<Payload>(payload.data());
  }
  wire::reset_reason reason() const {
    return static_cast<wire::reset_reason>(as<wire::reset_payload>().reason);
  }
};

/// What a client keeps of its session.
struct client {
  std::uint64_t nonce = 0x1111;
  producer_id producer{make_uint128(1, 2)};
  endpoint address = client_address();
  std::optional<shared_key> key;
  session_keys keys;
  std::uint64_t session = 0;
  std::uint32_t slot = 0;
  std::uint64_t next_packet = 1;
  std::uint64_t next_record = 0;
  std::uint64_t credit = 0;
};

}  // namespace millrace::test
