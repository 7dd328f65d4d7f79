#include "ingest/outbox.h"

#include "base/check.h"

namespace millrace {

outbox::outbox(packet_source& source, counter_set& counters)
    : source_(source), counters_(counters), bytes_(std::size_t{packets_max} * packet_bytes) {
  packets_.reserve(packets_max);
}

std::byte* outbox::claim() {
  if (packets_.size() == packets_max) flush();
  return bytes_.data() + packets_.size() * packet_bytes;
}

void outbox::commit(std::uint32_t bytes, const endpoint& to, std::uint16_t listener) {
  MILLRACE_CHECK(bytes <= packet_bytes && packets_.size() < packets_max, "a reply without a claim");
  const std::byte* at = bytes_.data() + packets_.size() * packet_bytes;
  packets_.push_back({.bytes = byte_view(at, bytes), .to = to, .listener = listener});
}

void outbox::flush() {
  if (packets_.empty()) return;
  const std::uint32_t sent = source_.send(packets_);
  counters_.add(counter::datagrams_sent, sent);
  counters_.add(counter::datagrams_send_failed, packets_.size() - sent);
  packets_.clear();
}

}  // namespace millrace
