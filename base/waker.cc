#include "base/waker.h"

#include <cstdint>
#include <ctime>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace millrace {

waker::waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  MILLRACE_CHECK(fd_ >= 0, "eventfd: out of file descriptors at start-up");
}

waker::~waker() {
  close(fd_);
}

void waker::disarm() {
  armed_.store(false, std::memory_order_seq_cst);
  std::uint64_t pending = 0;
  while (read(fd_, &pending, sizeof pending) == sizeof pending) {
  }
}

void waker::notify() {
  // The exchange both orders our work before the look at the flag and lets one notifier write.
  if (!armed_.exchange(false, std::memory_order_seq_cst)) return;
  const std::uint64_t one = 1;
  // EAGAIN would mean that the counter is full, and then the sleeper is awake anyway.
  [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
}

void waker::sleep(std::uint64_t timeout_us) {
  pollfd on{.fd = fd_, .events = POLLIN, .revents = 0};
  const timespec timeout{.tv_sec = static_cast<time_t>(timeout_us / 1'000'000),
                         .tv_nsec = static_cast<long>(timeout_us % 1'000'000 * 1000)};
  ppoll(&on, 1, &timeout, nullptr);
}

}  // namespace millrace
