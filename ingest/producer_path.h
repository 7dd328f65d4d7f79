#pragma once
/// Finds the largest datagram that the path carries: padded probes with DF set, as RFC 8899 has it,
/// and falls back when large datagrams vanish while small ones arrive.
#include <array>
#include <cstdint>

#include "ingest/producer_window.h"

namespace millrace {

/// Times are given, nothing is read; one thread.
class path_search {
 public:
  /// A new session, whose datagrams may have up to `bytes_max`.
  void restart(std::uint32_t bytes_max, std::uint64_t now_us);

  /// The size that data may use.
  std::uint32_t datagram_bytes() const { return size_; }
  /// The size of a probe to send now; 0: none. Ask again until then.
  std::uint32_t take_probe(std::uint64_t now_us);
  std::uint64_t deadline_us() const;
  /// The server has got a probe of this size.
  void on_probe_ack(std::uint32_t bytes);
  /// Looks for a black hole; true when the size has been taken back.
  bool on_news(const window_news& news, std::uint64_t now_us);

 private:
  std::uint32_t size_ = 0;
  std::uint32_t largest_ = 0;    ///< of the ladder, for this session
  std::uint32_t next_rung_ = 0;  ///< the next one to probe in this round
  std::uint32_t round_ = 0;
  std::uint64_t round_us_ = 0;  ///< when this round starts
  std::uint32_t lost_in_a_row_ = 0;
  std::uint64_t losing_from_us_ = 0;  ///< the first of those
};

}  // namespace millrace
