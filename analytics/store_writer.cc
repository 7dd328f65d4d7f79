#include "analytics/store_writer.h"

#include <utility>

namespace millrace {

store_writer::~store_writer() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::future<result<std::uint64_t>> store_writer::run(std::function<result<std::uint64_t>()> write) {
  task one(std::move(write));
  std::future<result<std::uint64_t>> done = one.get_future();
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(one));
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  news_.notify_one();
  return done;
}

void store_writer::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    task one = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    one();
    lock.lock();
  }
}

}  // namespace millrace
