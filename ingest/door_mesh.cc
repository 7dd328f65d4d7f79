#include "ingest/door_mesh.h"

#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::uint32_t inbox_buffer_bytes = 64 * 1024;

}  // namespace

door_inbox::door_inbox(slab_pool slabs, waker& wake)
    : slabs_(std::move(slabs)), wake_(wake), queue_(packets_max) {}

result<std::unique_ptr<door_inbox>> door_inbox::create(arena& from, waker& wake) {
  MILLRACE_ASSIGN(slab_pool slabs, slab_pool::create(from, inbox_buffer_bytes, packets_max,
                                                     "buffers for packets of other doors"));
  return std::unique_ptr<door_inbox>(new door_inbox(std::move(slabs), wake));
}

bool door_inbox::put(const received_packet& packet) {
  if (packet.bytes.size() > inbox_buffer_bytes) return false;
  const bool queued =
      queue_.push({.bytes = std::vector<std::byte>(packet.bytes.begin(), packet.bytes.end()),
                   .from = packet.from,
                   .listener = packet.listener});
  if (queued) wake_.notify();
  return queued;
}

bool door_inbox::take(received_packet& packet) {
  if (slabs_.free_count() == 0) return false;
  letter next;
  if (!queue_.pop(next)) return false;
  slab* buffer = slabs_.acquire();
  std::memcpy(buffer->data, next.bytes.data(), next.bytes.size());
  packet = {.bytes = mutable_byte_view(buffer->data, next.bytes.size()),
            .from = next.from,
            .buffer = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(buffer)),
            .buffer_bytes = inbox_buffer_bytes,
            .listener = next.listener};
  return true;
}

void door_inbox::release(std::uint64_t value) {
  slabs_.release(reinterpret_cast<slab*>(static_cast<std::uintptr_t>(value)));
}

void door_mesh::join(std::uint32_t door, door_inbox& inbox) {
  std::lock_guard lock(mutex_);
  MILLRACE_CHECK(door < doors_max && !inboxes_[door], "two doors of one number");
  inboxes_[door] = &inbox;
}

void door_mesh::leave(std::uint32_t door) {
  std::lock_guard lock(mutex_);
  inboxes_[door] = nullptr;
}

packet_forwarder::outcome door_mesh::forward(std::uint32_t door, const received_packet& packet) {
  std::lock_guard lock(mutex_);
  if (door >= doors_max || !inboxes_[door]) return outcome::no_door;
  return inboxes_[door]->put(packet) ? outcome::forwarded : outcome::full;
}

}  // namespace millrace
