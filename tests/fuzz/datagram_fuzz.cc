#include <cstring>
#include <map>
#include <optional>

#include "base/check.h"
#include "ingest/record_server.h"
#include "tests/ingest/fake_sink.h"

namespace {

using namespace millrace;

/// Takes replies and remembers the session that OPEN_ACK names.
class ear final : public packet_source {
 public:
  std::uint32_t receive(std::span<received_packet>) override { return 0; }
  void release(std::uint64_t) override {}
  std::uint32_t send(std::span<const outgoing_packet> packets) override {
    for (const outgoing_packet& one : packets) {
      std::vector<std::byte> copy(one.bytes.begin(), one.bytes.end());
      wire::datagram reply;
      MILLRACE_CHECK(wire::parse_datagram(copy, reply) == wire::datagram_fault::none &&
                         wire::verify_plain(reply) == wire::datagram_fault::none,
                     "what the server sends is well-formed");
      if (reply.type() == wire::datagram_type::open_ack) opened = reply.header;
    }
    return static_cast<std::uint32_t>(packets.size());
  }
  int poll_fd() const override { return -1; }
  std::uint32_t datagram_bytes_max() const override { return limits::datagram_bytes_max; }
  source_counters counters() const override {
    return {.dropped = 0, .stalled = 0, .buffers = 100, .buffers_free = 60};
  }
  std::string describe() const override { return "fuzz"; }
  std::optional<wire::datagram_header> opened;
};

class held_buffers final : public buffer_owner {
 public:
  void release(std::uint64_t value) override {
    MILLRACE_CHECK(all.erase(value) == 1, "a buffer is given back once");
  }
  std::map<std::uint64_t, std::vector<std::byte>> all;
};

}  // namespace

/// The input is a series of (length u16, datagram). Each goes to a server with one open session,
/// first as it is, then addressed to the session and with a good checksum, so that everything
/// behind the checksum is reached. Whatever comes: no crash, every buffer comes back, every reply
/// is well-formed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static arena memory = *arena::create({.bytes = 32 * limits::mib, .try_hugetlb = false});
  static const std::unique_ptr<reassembly_pool> reassemblies = *reassembly_pool::create(memory, 2);
  static const cookie_maker cookies(std::array<std::byte, 32>{});
  test::fake_sink sink;
  ear source;
  counter_set counters;
  held_buffers buffers;
  batch_filler filler(sink, {.batches = 4}, counters, nullptr);
  filler.register_owner(buffers);
  record_server server({.sink = sink,
                        .filler = filler,
                        .source = source,
                        .reassemblies = *reassemblies,
                        .cookies = cookies,
                        .counters = counters},
                       {});
  std::uint64_t now = 1'000'000;
  const auto round = [&] {
    now += 700;
    filler.collect(now);
    filler.submit_due(now);
    sink.commit_all();
    filler.collect(now);
    server.do_work(now);
  };
  MILLRACE_CHECK(server.open_in_process("orders", producer_id(1), {}, now).ok(), "a session");
  round();
  round();
  MILLRACE_CHECK(source.opened.has_value(), "it is open");

  std::uint64_t next_buffer = 0;
  const auto deliver = [&](std::vector<std::byte> datagram) {
    std::vector<std::byte>& kept = buffers.all[next_buffer];
    kept = std::move(datagram);
    const received_packet packet{.bytes = kept,
                                 .from = {},
                                 .buffer = next_buffer,
                                 .buffer_bytes = static_cast<std::uint32_t>(kept.size())};
    const std::uint64_t handle = batch_filler::buffer_handle(0, next_buffer++);
    if (!server.handle(packet, handle, now)) filler.release(handle);
  };
  const auto* at = reinterpret_cast<const std::byte*>(bytes);
  while (size >= 2) {
    const std::size_t length = std::min<std::size_t>(load<std::uint16_t>(at), size - 2);
    std::vector<std::byte> datagram(at + 2, at + 2 + length);
    at += 2 + length;
    size -= 2 + length;
    deliver(datagram);
    if (length >= sizeof(wire::datagram_header)) {
      auto header = load<wire::datagram_header>(datagram.data());
      header.session = source.opened->session;
      header.session_slot = source.opened->session_slot;
      header.key_id = 0;
      header.payload_bytes = static_cast<std::uint32_t>(length - sizeof header);
      datagram.resize(length + wire::crc_bytes);
      wire::seal_datagram(datagram.data(), header, nullptr, nullptr);
      deliver(std::move(datagram));
    }
    round();
  }
  for (int i = 0; i < 4; ++i)
    round();
  server.end_sessions(now);
  MILLRACE_CHECK(buffers.all.empty(), "every buffer came back");
  MILLRACE_CHECK(reassemblies->in_use() == 0, "every reassembly came back");
  return 0;
}
