#pragma once
/// Memory of large answers, kept for the next ones: what is given back to the system comes again as
/// pages that have to be cleared and mapped one by one, which costs as much as filling them.
/// Thread-safe.
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.h"

namespace millrace {

class spare_memory {
 public:
  /// What is smaller stays with the allocator anyway.
  static constexpr std::size_t bytes_min = 128 * limits::kib;
  /// Kept at most, all together.
  static constexpr std::size_t bytes_max = 64 * limits::mib;
  /// Kept no longer when nobody takes any.
  static constexpr std::uint64_t idle_us = 2'000'000;

  /// An empty text that holds `bytes` without growing, and not many times as many, as an answer
  /// keeps all of its memory until its client has taken it.
  std::string take(std::size_t bytes);
  /// Keeps the memory of a text, or lets it go.
  void give(std::string text);
  /// Lets go of what nobody wanted for a while; a few times a second.
  void tick(std::uint64_t now_us);

  std::size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> kept_;
  std::size_t bytes_ = 0;
  bool was_used_ = false;  // since the last tick
  std::uint64_t used_us_ = 0;
};

}  // namespace millrace
