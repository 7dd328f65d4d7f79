#pragma once
/// How much a producer may have under way: a congestion window that loss shrinks mildly, and, on
/// paths long enough for a window to arrive as one burst, a token bucket that spreads it.
#include <cstdint>

#include "ingest/producer_window.h"

namespace millrace {

/// Times are given, nothing is read; one thread.
class producer_pacer {
 public:
  /// A new session or path: everything that was learnt is forgotten.
  void restart();

  /// Bytes that may be sent now, beside `in_flight`. One datagram is always allowed when nothing is
  /// in flight.
  std::uint64_t allowance(std::uint64_t in_flight, const round_trip& trip, std::uint64_t now_us);
  void sent(std::uint64_t bytes);
  /// `last_number`: the newest packet sent; `was_limited`: the window kept data back.
  void on_news(const window_news& news, std::uint64_t last_number, std::uint64_t largest_acked,
               bool was_limited);
  /// When the bucket, found empty by allowance(), has room again; UINT64_MAX: it does not hold.
  std::uint64_t deadline_us() const { return deadline_us_; }

  std::uint64_t window_bytes() const { return window_; }

 private:
  std::uint64_t window_ = 0;
  std::uint64_t threshold_ = 0;     ///< below it the window doubles each round trip
  std::uint64_t recovery_end_ = 0;  ///< losses of packets up to this one are the same loss
  double tokens_ = 0;
  std::uint64_t refilled_us_ = 0;
  std::uint64_t deadline_us_ = UINT64_MAX;
  bool is_pacing_ = false;
};

}  // namespace millrace
