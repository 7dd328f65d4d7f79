#pragma once
/// Time, read in one place. Parts that decide by time take it as an argument, so that tests can
/// drive it; only agents and the command read the clock.
#include <cstdint>

namespace millrace {

/// Microseconds since an arbitrary start, never going backwards. For intervals and deadlines.
std::uint64_t monotonic_us();
/// Nanoseconds of the same clock.
std::uint64_t monotonic_ns();
/// Microseconds since 1970-01-01 UTC. May jump; never use it for intervals.
std::uint64_t wall_us();
/// CPU time this thread has used, in nanoseconds.
std::uint64_t thread_cpu_ns();

}  // namespace millrace
