#pragma once
/// A packet source that is many producers at once, few of them active: what `millrace bench` uses
/// to see whether idle sessions cost the active ones anything.
#include <cstdint>
#include <vector>

#include "base/arena.h"
#include "ingest/packet_source.h"

namespace millrace {

/// Sessions are opened by record_server::open_in_process() with peer(i); the first `active` of them
/// then send the same payload in turn, each within its credit. One thread.
class swarm_source final : public packet_source {
 public:
  struct options {
    std::uint32_t sessions = 1;
    std::uint32_t active = 1;
    std::uint32_t outstanding_max = 4096;  ///< datagrams handed out and not released
  };
  /// `payload` is a DATA payload of whole records.
  static result<std::unique_ptr<swarm_source>> create(arena& from, byte_view payload,
                                                      std::uint16_t record_count,
                                                      const options& with);

  /// The address of session i.
  static endpoint peer(std::uint32_t i);
  std::uint32_t opened() const { return opened_; }
  void start_sending() { is_sending_ = true; }

  std::uint32_t receive(std::span<received_packet> out) override;
  void release(std::uint64_t buffer) override;
  std::uint32_t send(std::span<const outgoing_packet> packets) override;
  int poll_fd() const override { return -1; }
  std::uint32_t datagram_bytes_max() const override;
  source_counters counters() const override;
  std::string describe() const override;

 private:
  struct client {
    std::uint64_t session = 0;
    std::uint64_t next_record = 0;
    std::uint64_t next_packet = 1;
    std::uint64_t sent_bytes = 0;
    std::uint64_t credit_limit = 0;
    std::uint32_t slot = 0;
  };
  swarm_source() = default;
  void take_reply(client& to, byte_view bytes);

  options options_;
  std::vector<client> clients_;
  std::vector<std::byte*> buffers_;
  std::vector<std::uint32_t> free_;
  std::uint32_t payload_bytes_ = 0;
  std::uint16_t record_count_ = 0;
  std::uint32_t turn_ = 0;
  std::uint32_t opened_ = 0;
  std::uint64_t stalled_ = 0;
  bool is_sending_ = false;
};

}  // namespace millrace
