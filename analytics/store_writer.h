#pragma once
/// A thread that writes to the stores of a lane's views, one after another, so that folding goes on
/// while a disk that is busy with the logs takes its time.
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "base/error.h"

namespace millrace {

class store_writer {
 public:
  using task = std::packaged_task<result<std::uint64_t>()>;

  store_writer() = default;
  /// Ends what was asked for.
  ~store_writer();
  store_writer(const store_writer&) = delete;
  store_writer& operator=(const store_writer&) = delete;

  std::future<result<std::uint64_t>> run(std::function<result<std::uint64_t>()> write);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<task> tasks_;  ///< at most one a view
  bool ending_ = false;
  std::thread thread_;  ///< from the first task on
};

}  // namespace millrace
