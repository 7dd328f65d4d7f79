#include "shards/producer_table.h"

#include <string>

namespace millrace {

std::optional<producer_state> producer_table::find(producer_id producer) const {
  const auto found = nodes_.find(producer);
  if (found == nodes_.end()) return std::nullopt;
  return found->second.state;
}

result<producer_state> producer_table::grant_epoch(producer_id producer, std::uint64_t now_us) {
  if (nodes_.size() >= capacity_ && !nodes_.contains(producer)) {
    // A clock that jumped back makes nobody look silent.
    const std::uint64_t active_us = oldest_->second.state.active_us;
    const std::uint64_t silent_us = now_us > active_us ? now_us - active_us : 0;
    if (silent_us < limits::dedup_period_us) {
      return error(error_code::exhausted,
                   std::to_string(nodes_.size()) +
                       " producers are remembered, the limit, and the longest-silent was active " +
                       std::to_string(silent_us / 1'000'000) + " s ago");
    }
    drop_oldest();
  }
  producer_state& state = touch(producer).second.state;
  state.epoch = state.epoch.next();
  state.active_us = now_us;
  return state;
}

void producer_table::advance(producer_id producer, epoch_number epoch, record_number next,
                             std::uint64_t now_us) {
  restore(producer, {epoch, next, now_us});
}

void producer_table::restore(producer_id producer, const producer_state& state) {
  if (nodes_.size() >= capacity_ && !nodes_.contains(producer)) drop_oldest();
  touch(producer).second.state = state;
}

void producer_table::clear() {
  nodes_.clear();
  oldest_ = nullptr;
  newest_ = nullptr;
}

/// The producer's item, made the newest.
producer_table::item& producer_table::touch(producer_id producer) {
  const auto [found, added] = nodes_.try_emplace(producer);
  item& one = *found;
  if (&one == newest_) return one;
  if (!added) unlink(one);
  one.second.older = newest_;
  one.second.newer = nullptr;
  if (newest_ != nullptr) newest_->second.newer = &one;
  newest_ = &one;
  if (oldest_ == nullptr) oldest_ = &one;
  return one;
}

void producer_table::unlink(item& one) {
  node& links = one.second;
  (links.older != nullptr ? links.older->second.newer : oldest_) = links.newer;
  (links.newer != nullptr ? links.newer->second.older : newest_) = links.older;
}

void producer_table::drop_oldest() {
  item& one = *oldest_;
  unlink(one);
  nodes_.erase(one.first);
}

}  // namespace millrace
