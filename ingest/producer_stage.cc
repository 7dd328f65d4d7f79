#include "ingest/producer_stage.h"

namespace millrace {

producer_stage::producer_stage() : bytes_(new std::byte[bytes_max]) {
  packets_.reserve(limits::burst_packets_max);
}

void producer_stage::add(std::uint32_t datagram_bytes, const endpoint& to, bool may_fail) {
  if (may_fail) may_fail_ |= std::uint64_t{1} << packets_.size();
  packets_.push_back({.bytes = {place(), datagram_bytes}, .to = to});
  used_ += align_up(datagram_bytes, 64);
}

bool producer_stage::send(packet_source& source) {
  while (sent_ < packets_.size()) {
    const std::uint32_t taken =
        source.send(std::span<const outgoing_packet>(packets_).subspan(sent_));
    datagrams_sent_ += taken;
    sent_ += taken;
    if (taken > 0) refusals_ = 0;
    if (sent_ == packets_.size()) break;
    // A probe larger than the link is refused at once and for good. Anything else may be a full
    // socket buffer; but one datagram must not hold up the rest for ever, loss recovery sees to it.
    const bool drop = ((may_fail_ >> sent_) & 1) != 0 || refusals_ >= refusals_max;
    if (!drop) {
      ++refusals_;
      return false;
    }
    refusals_ = 0;
    ++sent_;
  }
  clear();
  return true;
}

void producer_stage::clear() {
  packets_.clear();
  used_ = 0;
  may_fail_ = 0;
  sent_ = 0;
  refusals_ = 0;
}

}  // namespace millrace
