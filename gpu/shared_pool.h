#pragma once
/// Large pieces that are made at start-up and lent: one is free when nobody else holds it.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace millrace {

/// One thread; holders may let go on any.
template <class Piece>
class shared_pool {
 public:
  void add(std::shared_ptr<Piece> one) { all_.push_back(std::move(one)); }
  /// Null when all are held.
  std::shared_ptr<Piece> acquire() const {
    for (const auto& one : all_) {
      if (one.use_count() != 1) continue;
      // What its last holder did with it happened before.
      std::atomic_thread_fence(std::memory_order_acquire);
      return one;
    }
    return nullptr;
  }
  std::uint32_t free_count() const {
    return static_cast<std::uint32_t>(std::count_if(
        all_.begin(), all_.end(), [](const auto& one) { return one.use_count() == 1; }));
  }

 private:
  std::vector<std::shared_ptr<Piece>> all_;
};

}  // namespace millrace
