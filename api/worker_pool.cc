#include "api/worker_pool.h"

#include <utility>

namespace millrace {

worker_pool::worker_pool(std::uint32_t threads, std::size_t jobs_max) : jobs_max_(jobs_max) {
  for (std::uint32_t i = 0; i < threads; ++i)
    threads_.emplace_back([this] { run(); });
}

worker_pool::~worker_pool() {
  stop();
}

bool worker_pool::post(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (is_stopping_ || jobs_.size() >= jobs_max_) return false;
    jobs_.push_back(std::move(job));
  }
  news_.notify_one();
  return true;
}

void worker_pool::stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    jobs_.clear();
  }
  news_.notify_all();
  for (std::thread& one : threads_)
    one.join();
  threads_.clear();
}

void worker_pool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    news_.wait(lock, [&] { return is_stopping_ || !jobs_.empty(); });
    if (is_stopping_) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

}  // namespace millrace
