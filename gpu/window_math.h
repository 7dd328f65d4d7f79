#pragma once
/// Where a time lies: its pane or window, whether it is late, whether it may move its shard's
/// clock. The rules are those of docs/decisions/0002-windows.md.
#include <cstdint>

#include "gpu/host_device.h"

namespace millrace {

/// Times are microseconds since 1970 within 73 thousand years of it; with sizes of windows and
/// delays below window_us_max no sum of them overflows. A record outside has no time.
inline constexpr std::int64_t event_time_max_us = 1ll << 61;
/// Ten years: the largest window, gap, hop or delay.
inline constexpr std::int64_t window_us_max = 3650ll * 24 * 3600 * 1'000'000;
/// A clock or floor that was never set (shard_clock::never).
inline constexpr std::int64_t time_never = INT64_MIN;

MILLRACE_HOST_DEVICE inline bool is_event_time(std::int64_t time_us) {
  return time_us >= -event_time_max_us && time_us < event_time_max_us;
}

/// The greatest offset + n * hop that is not after `time_us`; n may be negative. 0 <= offset < hop.
MILLRACE_HOST_DEVICE inline std::int64_t pane_start(std::int64_t time_us, std::int64_t hop_us,
                                                    std::int64_t offset_us) {
  const std::int64_t since = time_us - offset_us;
  std::int64_t into = since % hop_us;
  if (into < 0) into += hop_us;
  return time_us - into;
}

/// What a shard's records may not be below: its newest time less the delay, or its floor.
MILLRACE_HOST_DEVICE inline std::int64_t shard_watermark(std::int64_t newest_us,
                                                         std::int64_t floor_us,
                                                         std::int64_t delay_us) {
  if (newest_us == time_never) return floor_us;
  const std::int64_t behind = newest_us - delay_us;
  return behind > floor_us ? behind : floor_us;
}

/// Further ahead of its arrival than clocks believe.
MILLRACE_HOST_DEVICE inline bool is_future(std::int64_t time_us, std::uint64_t arrival_us,
                                           std::int64_t future_max_us) {
  return time_us >= 0 && static_cast<std::uint64_t>(time_us) > arrival_us &&
         static_cast<std::uint64_t>(time_us) - arrival_us >
             static_cast<std::uint64_t>(future_max_us);
}

}  // namespace millrace
