#include "ingest/producer_window.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::uint32_t reorder_packets_min = 8;
constexpr std::uint32_t reorder_packets_max = 512;
constexpr std::uint32_t reorder_eighths_min = 9;
constexpr std::uint32_t reorder_eighths_max = 64;
/// Clocks and schedulers are no finer than this.
constexpr std::uint64_t reorder_us_min = 1'000;

constexpr std::uint64_t timeout_us_min = 5'000;
constexpr std::uint64_t timeout_us_max = 1'000'000;
constexpr std::uint64_t timeout_us_unknown = 100'000;

bool before(const sent_range& a, const sent_range& b) {
  return std::tie(a.first, a.offset) < std::tie(b.first, b.offset);
}

/// Joins `b` to `a`, which lies before it, when nothing is between them.
bool join(sent_range& a, const sent_range& b) {
  if (a.is_fragment() != b.is_fragment()) return false;
  if (a.is_fragment()) {
    if (a.first != b.first || a.offset + a.bytes < b.offset) return false;
    a.bytes = std::max(a.bytes, b.offset + b.bytes - a.offset);
    return true;
  }
  if (a.end() < b.first) return false;
  a.count = static_cast<std::uint32_t>(std::max(a.end(), b.end()) - a.first);
  return true;
}

}  // namespace

void resend_queue::add(const sent_range& range) {
  auto place = std::lower_bound(ranges_.begin(), ranges_.end(), range, before);
  if (place != ranges_.begin() && join(*(place - 1), range)) {
    --place;
  } else {
    place = ranges_.insert(place, range);
  }
  while (place + 1 != ranges_.end() && join(*place, *(place + 1)))
    ranges_.erase(place + 1);
}

void resend_queue::take(std::uint32_t count_or_bytes) {
  sent_range& one = ranges_.front();
  if (one.is_fragment()) {
    one.offset += count_or_bytes;
    one.bytes -= count_or_bytes;
    if (one.bytes == 0) ranges_.erase(ranges_.begin());
    return;
  }
  one.first += count_or_bytes;
  one.count -= count_or_bytes;
  if (one.count == 0) ranges_.erase(ranges_.begin());
}

void resend_queue::trim_below(std::uint64_t record) {
  while (!ranges_.empty() && ranges_.front().first < record) {
    sent_range& one = ranges_.front();
    if (one.end() <= record) {
      ranges_.erase(ranges_.begin());
      continue;
    }
    one.count -= static_cast<std::uint32_t>(record - one.first);
    one.first = record;
  }
}

void round_trip::sample(std::uint32_t rtt_us) {
  const std::uint64_t rtt = std::max(rtt_us, 1u);
  if (!has_sample_) {
    has_sample_ = true;
    smoothed_ = least_ = rtt;
    variation_ = rtt / 2;
    return;
  }
  const std::uint64_t off = smoothed_ > rtt ? smoothed_ - rtt : rtt - smoothed_;
  variation_ = (3 * variation_ + off) / 4;
  smoothed_ = (7 * smoothed_ + rtt) / 8;
  // Slowly forgets, for a path that has become longer.
  least_ = std::min(rtt, least_ + least_ / 256 + 1);
}

std::uint64_t round_trip::timeout_us() const {
  if (!has_sample_) return timeout_us_unknown;
  return std::clamp(smoothed_ + 4 * variation_, timeout_us_min, timeout_us_max);
}

sent_window::sent_window() : packets_(packets_kept) {
  restart();
}

void sent_window::restart() {
  for (packet& one : packets_)
    one = {};
  trip_ = {};
  oldest_ = next_ = 1;
  largest_acked_ = 0;
  lowest_lost_ = UINT64_MAX;
  bytes_in_flight_ = 0;
  packets_in_flight_ = 0;
  loss_deadline_us_ = UINT64_MAX;
  reorder_packets_ = reorder_packets_min;
  reorder_eighths_ = reorder_eighths_min;
}

sent_window::packet& sent_window::take(std::uint64_t now_us) {
  packet& one = at(next_++);
  MILLRACE_CHECK(one.is != state::in_flight, "packet window overrun: is_exhausted() not heeded");
  one = {.sent_us = now_us, .what = {}, .datagram_bytes = 0, .is = state::other};
  return one;
}

std::uint64_t sent_window::next_number(std::uint64_t now_us) {
  take(now_us);
  skip_settled();
  return last_number();
}

std::uint64_t sent_window::sent(const sent_range& what, std::uint32_t datagram_bytes,
                                std::uint64_t now_us) {
  packet& one = take(now_us);
  one.what = what;
  one.datagram_bytes = datagram_bytes;
  one.is = state::in_flight;
  bytes_in_flight_ += datagram_bytes;
  ++packets_in_flight_;
  return last_number();
}

void sent_window::arrived(packet& one, window_news& news) {
  if (one.is == state::lost) {
    // It had only been overtaken: be more patient.
    reorder_packets_ = std::min(reorder_packets_ * 2, reorder_packets_max);
    reorder_eighths_ = std::min(reorder_eighths_ + 4, reorder_eighths_max);
  } else if (one.is == state::in_flight) {
    bytes_in_flight_ -= one.datagram_bytes;
    --packets_in_flight_;
    news.acked_bytes += one.datagram_bytes;
    news.acked_size_max = std::max(news.acked_size_max, one.datagram_bytes);
  }
  one.is = state::arrived;
}

void sent_window::lost(std::uint64_t number, window_news& news, resend_queue& again) {
  packet& one = at(number);
  bytes_in_flight_ -= one.datagram_bytes;
  --packets_in_flight_;
  one.is = state::lost;
  again.add(one.what);
  lowest_lost_ = std::min(lowest_lost_, number);
  news.lost_bytes += one.datagram_bytes;
  news.lost_number = std::max(news.lost_number, number);
  ++news.lost_packets;
  news.lost_size_min = news.lost_size_min == 0 ? one.datagram_bytes
                                               : std::min(news.lost_size_min, one.datagram_bytes);
}

void sent_window::skip_settled() {
  while (oldest_ < next_ && at(oldest_).is != state::in_flight)
    ++oldest_;
}

window_news sent_window::on_ack(const wire::ack_payload& ack, std::uint64_t now_us,
                                resend_queue& again) {
  window_news news;
  // A packet number that was never used: an ack of another session, or nonsense.
  if (ack.largest_packet >= next_) return news;
  if (ack.largest_packet > largest_acked_) {
    largest_acked_ = ack.largest_packet;
    const std::uint32_t since = static_cast<std::uint32_t>(now_us) - ack.echo_time_us;
    // The delay is the server's word; without a sane one the sample is worth nothing.
    if (since >= ack.ack_delay_us && since < 60'000'000) {
      trip_.sample(since - ack.ack_delay_us);
      news.rtt_us = since - ack.ack_delay_us;
    }
  }
  const std::uint64_t covered =
      std::min<std::uint64_t>(ack.largest_packet, wire::replay_window_packets - 1);
  if (lowest_lost_ + wire::replay_window_packets < largest_acked_) lowest_lost_ = UINT64_MAX;
  const std::uint64_t lowest =
      std::max({ack.largest_packet - covered, std::uint64_t{1}, std::min(oldest_, lowest_lost_)});
  for (std::uint64_t number = lowest; number <= ack.largest_packet; ++number) {
    const std::uint64_t bit = ack.largest_packet - number;
    if (((ack.packets[bit / 64] >> (bit % 64)) & 1) == 0) continue;
    packet& one = at(number);
    if (one.is == state::in_flight || one.is == state::lost) arrived(one, news);
  }
  for (std::uint64_t number = oldest_; number < next_; ++number) {
    packet& one = at(number);
    if (one.is == state::in_flight && one.what.end() <= ack.received_record) arrived(one, news);
  }
  again.trim_below(ack.received_record);
  find_lost(now_us, news, again);
  return news;
}

void sent_window::find_lost(std::uint64_t now_us, window_news& news, resend_queue& again) {
  loss_deadline_us_ = UINT64_MAX;
  const std::uint64_t patience_us =
      std::max(trip_.smoothed_us() * reorder_eighths_ / 8, reorder_us_min);
  for (std::uint64_t number = oldest_; number < largest_acked_; ++number) {
    const packet& one = at(number);
    if (one.is != state::in_flight) continue;
    const std::uint64_t deadline = one.sent_us + patience_us;
    if (largest_acked_ - number >= reorder_packets_ || deadline <= now_us) {
      lost(number, news, again);
    } else {
      loss_deadline_us_ = std::min(loss_deadline_us_, deadline);
    }
  }
  skip_settled();
}

window_news sent_window::on_time(std::uint64_t now_us, resend_queue& again) {
  window_news news;
  if (now_us >= loss_deadline_us_) find_lost(now_us, news, again);
  return news;
}

window_news sent_window::on_nak(const wire::nak_range& missing, std::uint64_t next_record,
                                std::uint64_t now_us, resend_queue& again) {
  window_news news;
  const std::uint64_t end = std::min(missing.last_record, next_record - 1) + 1;
  if (next_record == 0 || missing.first_record >= end) return news;
  // What is on its way, or about to be, is not missing yet; the rest the server has dropped.
  std::vector<sent_range> on_way = again.ranges();
  for (std::uint64_t number = oldest_; number < next_; ++number) {
    packet& one = at(number);
    if (one.is != state::in_flight || one.what.end() <= missing.first_record ||
        one.what.first >= end) {
      continue;
    }
    on_way.push_back(one.what);
    // Sent less than a round trip ago, it may have crossed this NAK. Which fragment of a record is
    // missing only the bitmap says.
    if (one.what.is_fragment() || one.sent_us + trip_.least_us() > now_us) continue;
    lost(number, news, again);
  }
  std::sort(on_way.begin(), on_way.end(), before);
  std::uint64_t from = missing.first_record;
  const auto add_up_to = [&](std::uint64_t to) {
    if (from < to) again.add({.first = from, .count = static_cast<std::uint32_t>(to - from)});
  };
  for (const sent_range& range : on_way) {
    if (range.end() <= from) continue;
    add_up_to(std::min(range.first, end));
    from = std::max(from, range.end());
    if (from >= end) break;
  }
  add_up_to(end);
  skip_settled();
  return news;
}

}  // namespace millrace
