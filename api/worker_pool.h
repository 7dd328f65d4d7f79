#pragma once
/// A few threads for what may wait. Thread-safe.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace millrace {

class worker_pool {
 public:
  /// No more than `jobs_max` wait.
  worker_pool(std::uint32_t threads, std::size_t jobs_max);
  ~worker_pool();

  /// False when too many jobs wait, or after stop(). A job must not throw.
  [[nodiscard]] bool post(std::function<void()> job);
  /// Ends the threads after the jobs that run; what waits is dropped.
  void stop();

 private:
  void run();

  const std::size_t jobs_max_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<std::function<void()>> jobs_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace
