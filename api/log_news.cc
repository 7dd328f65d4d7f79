#include "api/log_news.h"

#include <vector>

namespace millrace {

void log_news::follow(stream_id stream, const std::shared_ptr<const stream_log>& log) {
  auto& one = all_[stream];
  if (!one) {
    one = std::make_unique<followed>();
    one->log = log;
    one->watch = log->watch([this, it = one.get()] {
      it->has_news.store(true, std::memory_order_relaxed);
      any_.store(true, std::memory_order_seq_cst);
      wake_.notify();
    });
  }
  ++one->users;
}

void log_news::unfollow(stream_id stream) {
  const auto found = all_.find(stream);
  if (found != all_.end() && --found->second->users == 0) all_.erase(found);
}

int log_news::take(const std::function<void(stream_id)>& on_news) {
  if (!any_.load(std::memory_order_relaxed) || !any_.exchange(false)) return 0;
  std::vector<stream_id> told;  // what is called may follow and unfollow
  for (const auto& [stream, one] : all_) {
    if (one->has_news.exchange(false)) told.push_back(stream);
  }
  for (const stream_id stream : told)
    on_news(stream);
  return static_cast<int>(told.size());
}

}  // namespace millrace
