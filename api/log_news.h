#pragma once
/// Which logs have something new, for one thread that sleeps until there is some.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/ids.h"
#include "base/waker.h"
#include "shards/stream_log.h"

namespace millrace {

class log_news {
 public:
  /// `wake` is notified when a followed log has news, and outlives this.
  explicit log_news(waker& wake) : wake_(wake) {}

  /// Until as many calls of unfollow(). What becomes durable from now on is news.
  void follow(stream_id stream, const std::shared_ptr<const stream_log>& log);
  void unfollow(stream_id stream);

  /// Any news? Asked between arming the waker and sleeping.
  bool any() const { return any_.load(std::memory_order_seq_cst); }
  /// Calls `on_news` for each stream that has some; returns how many.
  int take(const std::function<void(stream_id)>& on_news);

 private:
  struct followed {
    std::shared_ptr<const stream_log> log;
    std::uint32_t users = 0;
    std::atomic<bool> has_news{false};
    std::unique_ptr<news_watch> watch;  // goes before the log
  };

  waker& wake_;
  std::atomic<bool> any_{false};
  std::unordered_map<stream_id, std::unique_ptr<followed>> all_;
};

}  // namespace millrace
