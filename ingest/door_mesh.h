#pragma once
/// How doors hand over packets that came to the wrong one: a client's path has changed (NAT, RSS),
/// and its session is at another door. Rare, so it copies; bounded, so it drops.
#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "base/arena.h"
#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/waker.h"
#include "ingest/batch_filler.h"
#include "ingest/record_server.h"

namespace millrace {

/// Packets for one door, put by others. put() is thread-safe, the rest is the door's.
class door_inbox final : public buffer_owner {
 public:
  static constexpr std::uint32_t packets_max = 64;

  /// Carves buffers for the packets, so that their records lie in the arena as all others.
  static result<std::unique_ptr<door_inbox>> create(arena& from, waker& wake);

  [[nodiscard]] bool put(const received_packet& packet);
  /// False when there is none. The packet's buffer goes back by release().
  [[nodiscard]] bool take(received_packet& packet);
  void release(std::uint64_t value) override;
  bool empty() const { return queue_.empty(); }

 private:
  struct letter {
    std::vector<std::byte> bytes;
    endpoint from;
    std::uint16_t listener = 0;
  };
  door_inbox(slab_pool slabs, waker& wake);

  slab_pool slabs_;
  waker& wake_;
  bounded_queue<letter> queue_;
};

/// Who has which number. Thread-safe; doors join at start-up and leave before they end.
class door_mesh final : public packet_forwarder {
 public:
  static constexpr std::uint32_t doors_max = 256;

  void join(std::uint32_t door, door_inbox& inbox);
  void leave(std::uint32_t door);
  outcome forward(std::uint32_t door, const received_packet& packet) override;

 private:
  std::mutex mutex_;
  std::array<door_inbox*, doors_max> inboxes_{};
};

}  // namespace millrace
