#include "ingest/producer_pacer.h"

#include <algorithm>

#include "base/limits.h"

namespace millrace {
namespace {

/// Fits a default socket buffer (208 KiB), so that a session does not begin with losses.
constexpr std::uint64_t window_first = 128 * limits::kib;
/// Two of the largest datagrams: less than that in flight would wait for every single ack.
constexpr std::uint64_t window_min = 2 * limits::datagram_bytes_max;
constexpr std::uint64_t window_max = 2 * limits::session_credit_bytes_max;
/// A round trip so short that the acks alone spread the datagrams.
constexpr std::uint64_t pacing_trip_us_min = 1'000;
/// A burst that every path takes, and that makes a send call worth its cost.
constexpr double burst_bytes_min = 128 * limits::kib;
constexpr double burst_us = 2'000;

}  // namespace

void producer_pacer::restart() {
  window_ = window_first;
  threshold_ = window_max;
  recovery_end_ = 0;
  tokens_ = burst_bytes_min;
  refilled_us_ = 0;
  deadline_us_ = UINT64_MAX;
  is_pacing_ = false;
}

std::uint64_t producer_pacer::allowance(std::uint64_t in_flight, const round_trip& trip,
                                        std::uint64_t now_us) {
  deadline_us_ = UINT64_MAX;
  std::uint64_t room = window_ > in_flight ? window_ - in_flight : 0;
  if (in_flight == 0) room = std::max<std::uint64_t>(room, limits::datagram_bytes_max);
  is_pacing_ = trip.smoothed_us() >= pacing_trip_us_min;
  if (!is_pacing_ || room == 0) return room;
  // A little faster than the window allows, so that the window and not the bucket decides.
  const double rate = (window_ < threshold_ ? 2.0 : 1.25) * static_cast<double>(window_) /
                      static_cast<double>(trip.smoothed_us());
  const double burst = std::max(burst_bytes_min, rate * burst_us);
  const auto passed = static_cast<double>(refilled_us_ == 0 ? 0 : now_us - refilled_us_);
  tokens_ = std::min(burst, tokens_ + passed * rate);
  refilled_us_ = now_us;
  if (tokens_ >= 1) return std::min(room, static_cast<std::uint64_t>(tokens_));
  const double wanted = std::min(burst_bytes_min / 4, burst) - tokens_;
  deadline_us_ = now_us + static_cast<std::uint64_t>(wanted / rate) + 1;
  return 0;
}

void producer_pacer::sent(std::uint64_t bytes) {
  // May go below zero by one datagram, which the next refill pays back.
  if (is_pacing_) tokens_ -= static_cast<double>(bytes);
}

void producer_pacer::on_news(const window_news& news, std::uint64_t last_number,
                             std::uint64_t largest_acked, bool was_limited) {
  if (news.lost_packets > 0 && news.lost_number > recovery_end_) {
    window_ = std::max(window_min, window_ / 10 * 8);
    threshold_ = window_;
    recovery_end_ = last_number;
    return;
  }
  if (news.acked_bytes == 0 || !was_limited || largest_acked <= recovery_end_) return;
  if (window_ < threshold_) {
    window_ += news.acked_bytes;
  } else {
    // A sixteenth each round trip: back at the old window after four, if there is room again.
    window_ += std::max<std::uint64_t>(news.acked_bytes / 16, 1);
  }
  window_ = std::min(window_, window_max);
}

}  // namespace millrace
