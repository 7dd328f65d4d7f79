#include "analytics/view_feed.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "analytics/rows_codec.h"

namespace millrace {

void view_feed::publish(view_status now) {
  std::lock_guard lock(mutex_);
  status_ = std::move(now);
  if (status_.next_ordinal > next_ordinal_) {
    next_ordinal_ = status_.next_ordinal;
    news_.notify_all();
  }
}

void view_feed::push(std::vector<emission> more, std::uint64_t bytes_max) {
  if (more.empty()) return;
  std::deque<emission> old;  // freed without the lock
  std::lock_guard lock(mutex_);
  for (emission& one : more) {
    next_ordinal_ = std::max(next_ordinal_, one.ordinal + 1);
    bytes_ += rows_bytes(*one.windows);
    newest_.push_back(std::move(one));
  }
  while (bytes_ > bytes_max && newest_.size() > 1) {
    bytes_ -= rows_bytes(*newest_.front().windows);
    old.push_back(std::move(newest_.front()));
    newest_.pop_front();
  }
  news_.notify_all();
}

void view_feed::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  news_.notify_all();
}

view_status view_feed::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

std::optional<std::vector<emission>> view_feed::wait(std::uint64_t ordinal,
                                                     std::uint64_t timeout_us) const {
  std::unique_lock lock(mutex_);
  news_.wait_for(lock, std::chrono::microseconds(timeout_us),
                 [&] { return closed_ || next_ordinal_ > ordinal; });
  if (next_ordinal_ <= ordinal) return std::vector<emission>();
  if (newest_.empty() || newest_.front().ordinal > ordinal) return std::nullopt;
  const auto from = std::partition_point(
      newest_.begin(), newest_.end(), [&](const emission& one) { return one.ordinal < ordinal; });
  return std::vector<emission>(from, newest_.end());
}

}  // namespace millrace
