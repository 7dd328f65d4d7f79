#pragma once
/// Wakes an agent that sleeps in poll(2), and costs the waking side nothing while it is awake.
///
/// The sleeper: `arm()`, look at its queues once more, poll on `fd()`, `disarm()`. The other side:
/// put work where the sleeper looks, then `notify()`.
#include <atomic>

#include "base/error.h"

namespace millrace {

class waker {
 public:
  waker();
  ~waker();
  waker(const waker&) = delete;
  waker& operator=(const waker&) = delete;

  int fd() const { return fd_; }
  void arm() { armed_.store(true, std::memory_order_seq_cst); }
  /// After waking: no more notifications are wanted, and pending ones are taken.
  void disarm();
  /// Thread-safe and safe in a signal handler.
  void notify();
  /// arm + poll for up to `timeout_us` + disarm. `has_work` is asked once between arming and
  /// sleeping; when it says true there is no sleep.
  template <class HasWork>
  void wait(std::uint64_t timeout_us, HasWork has_work) {
    arm();
    if (!has_work()) sleep(timeout_us);
    disarm();
  }

 private:
  void sleep(std::uint64_t timeout_us);
  int fd_ = -1;
  std::atomic<bool> armed_{false};
};

}  // namespace millrace
