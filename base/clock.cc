#include "base/clock.h"

#include <ctime>

namespace millrace {
namespace {

std::uint64_t read_ns(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t monotonic_ns() {
  return read_ns(CLOCK_MONOTONIC);
}
std::uint64_t monotonic_us() {
  return monotonic_ns() / 1000;
}
std::uint64_t wall_us() {
  return read_ns(CLOCK_REALTIME) / 1000;
}
std::uint64_t thread_cpu_ns() {
  return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

}  // namespace millrace
