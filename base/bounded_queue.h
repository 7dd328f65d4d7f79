#pragma once
/// A queue between agents: fixed capacity, many writers and readers, FULL is a result. What it
/// carries are batches and commands, thousands a second and not millions, so a mutex is enough.
#include <mutex>
#include <utility>
#include <vector>

namespace millrace {

template <class Item>
class bounded_queue {
 public:
  explicit bounded_queue(std::size_t capacity) : items_(capacity) {}

  /// False when full; `item` is then untouched.
  [[nodiscard]] bool push(Item item) {
    std::lock_guard lock(mutex_);
    if (count_ == items_.size()) return false;
    items_[(first_ + count_) % items_.size()] = std::move(item);
    ++count_;
    return true;
  }

  /// False when empty.
  [[nodiscard]] bool pop(Item& item) {
    std::lock_guard lock(mutex_);
    if (count_ == 0) return false;
    item = std::move(items_[first_]);
    first_ = (first_ + 1) % items_.size();
    --count_;
    return true;
  }

  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  bool empty() const { return size() == 0; }

 private:
  mutable std::mutex mutex_;
  std::vector<Item> items_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace millrace
