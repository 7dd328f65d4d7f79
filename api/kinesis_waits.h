#pragma once
/// GetRecords calls that found nothing and wait for something, of one door (docs/kinesis_api.md,
/// "Waiting for records"). On its thread.
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/kinesis_service.h"
#include "api/log_news.h"

namespace millrace {

/// The header that asks for it, in milliseconds.
inline constexpr std::string_view wait_header = "X-Millrace-Wait-Ms";
/// More would meet the time-outs of clients and of proxies.
inline constexpr std::uint64_t wait_ms_max = 20'000;

/// `text` is the header's; `into` is 0 when there is none.
kinesis_outcome parse_wait(std::string_view text, std::uint64_t& into_ms);

class kinesis_waits {
 public:
  /// `calls_max` wait at once.
  kinesis_waits(pipeline& streams, log_news& news, std::size_t calls_max)
      : streams_(streams), news_(news), calls_max_(calls_max) {}

  /// False: too many wait, and the call has to be answered with what it has.
  [[nodiscard]] bool add(std::uint64_t call, const read_end& at, std::uint64_t until_us);
  void on_news(stream_id stream);
  /// Whose time is over, and whose shard or stream was closed meanwhile.
  void tick(std::uint64_t now_us);
  /// Calls that are to be read again, now; they wait no longer.
  std::vector<std::uint64_t> take_ready() { return std::exchange(ready_, {}); }
  std::uint64_t next_due_us() const { return ready_.empty() ? next_tick_us_ : 0; }
  std::size_t size() const { return size_; }
  /// All are ready.
  void end_all();
  /// Nobody waits any more; nobody is ready.
  void clear();

 private:
  struct waiting {
    std::uint64_t call = 0;
    read_end at;
    std::uint64_t until_us = 0;
  };
  /// Moves those that `is_over` out of a stream's list.
  template <class IsOver>
  void release(std::vector<waiting>& all, IsOver is_over);

  pipeline& streams_;
  log_news& news_;
  const std::size_t calls_max_;
  std::unordered_map<stream_id, std::vector<waiting>> by_stream_;
  std::size_t size_ = 0;
  std::vector<std::uint64_t> ready_;
  std::uint64_t next_tick_us_ = UINT64_MAX;
};

}  // namespace millrace
