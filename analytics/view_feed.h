#pragma once
/// What readers see of a view while its worker goes on: its status, and the rows that went out
/// last. Thread-safe.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "analytics/view_service.h"

namespace millrace {

class view_feed {
 public:
  explicit view_feed(view_status first) : status_(std::move(first)) {}

  // --- the worker ---
  void publish(view_status now);
  /// Emissions that are durable, ascending. The oldest ones leave the memory at `bytes_max`, all
  /// but the newest.
  void push(std::vector<emission> more, std::uint64_t bytes_max);
  /// Ends all waiting, for good.
  void close();

  // --- readers ---
  view_status status() const;
  /// Waits for an emission at or after `ordinal`. Those that are in memory; none: the timeout has
  /// passed, or the feed was closed. Without a value: some are in the store alone.
  std::optional<std::vector<emission>> wait(std::uint64_t ordinal, std::uint64_t timeout_us) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable news_;
  view_status status_;
  std::deque<emission> newest_;
  std::uint64_t bytes_ = 0;
  std::uint64_t next_ordinal_ = 0;  ///< stored ones are below
  bool closed_ = false;
};

}  // namespace millrace
