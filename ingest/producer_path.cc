#include "ingest/producer_path.h"

#include <algorithm>
#include <iterator>

#include "base/limits.h"

namespace millrace {
namespace {

/// Payloads of common links: Ethernet, 4 KiB fabrics, jumbo frames, loopback and virtual links.
constexpr std::uint32_t ladder[] = {1'472,  4'096,  8'972,
                                    16'384, 32'768, limits::datagram_bytes_max};
/// A probe may be lost by chance, so each size is tried a few times, and all over again at times,
/// for a path that has become better.
constexpr std::uint64_t round_pauses_us[] = {100'000, 400'000, 2'000'000};
constexpr std::uint64_t again_us = 600'000'000;
/// Soon, as it costs a datagram to find out that it was none.
constexpr std::uint64_t after_black_hole_us = 1'000'000;
/// So many datagrams lost in a row, for so long, are not chance. A server that is overrun loses as
/// many at once, but one of the next flights gets through.
constexpr std::uint32_t black_hole_datagrams = 8;
constexpr std::uint64_t black_hole_us = 300'000;

}  // namespace

void path_search::restart(std::uint32_t bytes_max, std::uint64_t now_us) {
  largest_ = std::max(bytes_max, limits::datagram_bytes_min);
  size_ = limits::datagram_bytes_min;
  next_rung_ = 0;
  round_ = 0;
  round_us_ = now_us;
  lost_in_a_row_ = 0;
}

std::uint32_t path_search::take_probe(std::uint64_t now_us) {
  if (now_us < deadline_us()) return 0;
  while (next_rung_ < std::size(ladder)) {
    const std::uint32_t bytes = std::min(ladder[next_rung_++], largest_);
    if (bytes > size_ && (next_rung_ == 1 || ladder[next_rung_ - 2] < largest_)) return bytes;
  }
  next_rung_ = 0;
  if (round_ < std::size(round_pauses_us)) {
    round_us_ = now_us + round_pauses_us[round_++];
  } else {
    round_us_ = now_us + again_us;
    round_ = 0;
  }
  return 0;
}

std::uint64_t path_search::deadline_us() const {
  return size_ >= largest_ ? UINT64_MAX : round_us_;
}

void path_search::on_probe_ack(std::uint32_t bytes) {
  if (bytes <= size_ || bytes > largest_) return;
  size_ = bytes;
  lost_in_a_row_ = 0;
}

bool path_search::on_news(const window_news& news, std::uint64_t now_us) {
  if (news.acked_size_max > limits::datagram_bytes_min) lost_in_a_row_ = 0;
  if (news.lost_size_min > limits::datagram_bytes_min) {
    if (lost_in_a_row_ == 0) losing_from_us_ = now_us;
    lost_in_a_row_ += news.lost_packets;
  }
  const bool is_black_hole =
      lost_in_a_row_ >= black_hole_datagrams && now_us - losing_from_us_ >= black_hole_us;
  if (!is_black_hole || size_ == limits::datagram_bytes_min) return false;
  size_ = limits::datagram_bytes_min;
  lost_in_a_row_ = 0;
  next_rung_ = 0;
  round_ = 0;
  round_us_ = now_us + after_black_hole_us;
  return true;
}

}  // namespace millrace
