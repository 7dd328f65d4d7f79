#pragma once
/// What a producer has sent in its session and does not know to have arrived; what is to be sent
/// again. Packet numbers in, ranges of records out: decides by acks and time, knows no bytes.
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "ingest/wire_format.h"

namespace millrace {

/// What one datagram carries: `count` whole records from `first` on, or, when count is 0, `bytes`
/// of the record `first` from `offset` on.
struct sent_range {
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;

  bool is_fragment() const { return count == 0; }
  /// One past the last record it touches.
  std::uint64_t end() const { return first + (count == 0 ? 1 : count); }
  friend bool operator==(const sent_range&, const sent_range&) = default;
};

/// Ranges to be sent again, lowest first, neighbours joined.
class resend_queue {
 public:
  void add(const sent_range& range);
  bool empty() const { return ranges_.empty(); }
  const sent_range& front() const { return ranges_.front(); }
  /// The first `count` records of the front, or `bytes` of a fragment, have been sent.
  void take(std::uint32_t count_or_bytes);
  /// Everything below `record` has arrived.
  void trim_below(std::uint64_t record);
  void clear() { ranges_.clear(); }
  const std::vector<sent_range>& ranges() const { return ranges_; }

 private:
  std::vector<sent_range> ranges_;  ///< by (first, offset); rarely more than a few
};

/// Smoothed round-trip time, as RFC 6298 has it.
class round_trip {
 public:
  void sample(std::uint32_t rtt_us);
  std::uint64_t smoothed_us() const { return smoothed_; }
  std::uint64_t least_us() const { return has_sample_ ? least_ : 0; }
  bool has_sample() const { return has_sample_; }
  /// How long an answer may take before one asks again.
  std::uint64_t timeout_us() const;

 private:
  std::uint64_t smoothed_ = 0;
  std::uint64_t variation_ = 0;
  std::uint64_t least_ = 0;
  bool has_sample_ = false;
};

/// What an ack, a NAK or the passing of time brought.
struct window_news {
  std::uint64_t acked_bytes = 0;
  std::uint64_t lost_bytes = 0;
  std::uint64_t lost_number = 0;  ///< the largest packet found lost; 0: none
  std::uint32_t lost_packets = 0;
  std::uint32_t acked_size_max = 0;  ///< the largest datagram found to have arrived
  std::uint32_t lost_size_min = 0;   ///< the smallest one found lost
  std::optional<std::uint32_t> rtt_us{};
};

class sent_window {
 public:
  sent_window();
  /// A new session: packet numbers start at 1 again.
  void restart();

  /// A number for a datagram that carries no records.
  std::uint64_t next_number(std::uint64_t now_us);
  /// A number for a datagram with records.
  std::uint64_t sent(const sent_range& what, std::uint32_t datagram_bytes, std::uint64_t now_us);
  std::uint64_t last_number() const { return next_ - 1; }
  std::uint64_t largest_acked() const { return largest_acked_; }

  /// No more records should be sent: the server's bitmap would not cover the oldest packet.
  bool is_full() const { return next_ - oldest_ >= span_max; }
  /// The peer answers, but has not acked a packet for so long that the session is of no use.
  bool is_exhausted() const { return next_ - oldest_ >= packets_kept - span_max; }
  std::uint64_t bytes_in_flight() const { return bytes_in_flight_; }
  std::uint32_t packets_in_flight() const { return packets_in_flight_; }
  const round_trip& trip() const { return trip_; }

  /// Lost ranges go to `again`.
  window_news on_ack(const wire::ack_payload& ack, std::uint64_t now_us, resend_queue& again);
  /// The server lacks records first..last; `next_record`: one past the last record sent.
  window_news on_nak(const wire::nak_range& missing, std::uint64_t next_record,
                     std::uint64_t now_us, resend_queue& again);
  /// Packets that later ones overtook too long ago are lost.
  window_news on_time(std::uint64_t now_us, resend_queue& again);
  /// When on_time() has something to find; UINT64_MAX: nothing.
  std::uint64_t loss_deadline_us() const { return loss_deadline_us_; }

 private:
  enum class state : std::uint8_t { other, in_flight, arrived, lost };
  struct packet {
    std::uint64_t sent_us = 0;
    sent_range what;
    std::uint32_t datagram_bytes = 0;
    state is = state::other;
  };
  /// Beyond the server's 1024, so that late acks of packets given up are recognised.
  static constexpr std::uint64_t packets_kept = 4096;
  static constexpr std::uint64_t span_max = wire::replay_window_packets - 64;

  packet& at(std::uint64_t number) { return packets_[number % packets_kept]; }
  packet& take(std::uint64_t now_us);
  void arrived(packet& one, window_news& news);
  void lost(std::uint64_t number, window_news& news, resend_queue& again);
  void find_lost(std::uint64_t now_us, window_news& news, resend_queue& again);
  void skip_settled();

  std::vector<packet> packets_;
  round_trip trip_;
  std::uint64_t oldest_ = 1;  ///< no packet below it is in flight
  std::uint64_t next_ = 1;
  std::uint64_t largest_acked_ = 0;
  std::uint64_t lowest_lost_ = UINT64_MAX;  ///< of those whose late ack would still be noticed
  std::uint64_t bytes_in_flight_ = 0;
  std::uint64_t loss_deadline_us_ = UINT64_MAX;
  std::uint32_t packets_in_flight_ = 0;
  /// How many packets may overtake one before it counts as lost; grows when that was wrong.
  std::uint32_t reorder_packets_ = 0;
  std::uint32_t reorder_eighths_ = 0;  ///< the same in eighths of a round trip
};

}  // namespace millrace
