#pragma once
/// A small bounded cache of shared values, the least recently used forgotten first. Thread-safe.
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>

namespace millrace {

template <class Key, class Value>
class lru_cache {
 public:
  /// Holds values until the sum of their costs is over `cost_max`.
  explicit lru_cache(std::uint64_t cost_max) : cost_max_(cost_max) {}

  /// Null when it is not here.
  std::shared_ptr<const Value> find(const Key& key) {
    std::lock_guard lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    items_.splice(items_.begin(), items_, found->second);
    return found->second->value;
  }

  void insert(const Key& key, std::shared_ptr<const Value> value, std::uint64_t cost) {
    std::lock_guard lock(mutex_);
    remove(key);
    if (cost > cost_max_) return;
    items_.push_front({key, std::move(value), cost});
    places_[key] = items_.begin();
    cost_ += cost;
    while (cost_ > cost_max_)
      remove(items_.back().key);
  }

  void erase(const Key& key) {
    std::lock_guard lock(mutex_);
    remove(key);
  }

 private:
  struct item {
    Key key;
    std::shared_ptr<const Value> value;
    std::uint64_t cost;
  };

  void remove(const Key key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    cost_ -= found->second->cost;
    items_.erase(found->second);
    places_.erase(found);
  }

  const std::uint64_t cost_max_;
  std::uint64_t cost_ = 0;
  std::mutex mutex_;
  std::list<item> items_;  ///< most recently used first
  std::map<Key, typename std::list<item>::iterator> places_;
};

}  // namespace millrace
