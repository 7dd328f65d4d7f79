#include "analytics/read_ahead.h"

#include <utility>

namespace millrace {

read_ahead::~read_ahead() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_all();
  if (thread_.joinable()) thread_.join();
}

result<block_step> read_ahead::next(log_position from, bool pass_unreadable) {
  auto step = take(from);
  if (!step || !step->ok()) {
    step = log_->next_block(from, pass_unreadable);
  } else if (!(*step)->block) {
    // There may be one by now; what was passed over on the way has been counted.
    const block_step before = *std::move(*step);
    step = log_->next_block(before.next, pass_unreadable);
    if (step->ok()) {
      block_step& now = **step;
      now.damaged.insert(now.damaged.begin(), before.damaged.begin(), before.damaged.end());
      now.dropped = now.dropped || before.dropped;
    }
  }
  if (step->ok() && (*step)->block && !(*step)->from_memory) ask((*step)->next);
  return *std::move(step);
}

/// What was read ahead, if it is from there.
std::optional<result<block_step>> read_ahead::take(log_position from) {
  std::unique_lock lock(mutex_);
  if (!request_) return std::nullopt;
  news_.wait(lock, [this] { return request_->step.has_value(); });
  const request done = *std::exchange(request_, std::nullopt);
  if (done.from != from) return std::nullopt;
  return std::move(done.step);
}

void read_ahead::ask(log_position from) {
  {
    std::lock_guard lock(mutex_);
    request_ = request{from, std::nullopt};
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { read(); });
  news_.notify_all();
}

void read_ahead::read() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return ending_ || (request_ && !request_->step); });
    if (ending_) return;
    const log_position from = request_->from;
    lock.unlock();
    auto step = log_->next_block(from, false);
    lock.lock();
    request_->step = std::move(step);
    news_.notify_all();
  }
}

}  // namespace millrace
