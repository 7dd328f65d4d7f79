#include "shards/hot_tail.h"

#include <algorithm>
#include <tuple>

namespace millrace {

void hot_tail::push(block newest) {
  bytes_ += newest.buffer->capacity();
  blocks_.push_back(std::move(newest));
  if (blocks_.size() > device_blocks_max) {
    blocks_[blocks_.size() - 1 - device_blocks_max].device.reset();
  }
  while (bytes_ > bytes_max_ && !blocks_.empty()) {
    bytes_ -= blocks_.front().buffer->capacity();
    blocks_.pop_front();
  }
}

void hot_tail::clear() {
  blocks_.clear();
  bytes_ = 0;
}

const hot_tail::block* hot_tail::find(segment_number segment, std::uint64_t offset) const {
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), std::tuple(segment, offset),
      [](const std::tuple<segment_number, std::uint64_t>& wanted, const block& one) {
        return wanted < std::tuple(one.segment, one.offset);
      });
  if (after == blocks_.begin()) return nullptr;
  const block& one = *std::prev(after);
  return one.segment == segment && offset < one.offset + one.bytes ? &one : nullptr;
}

}  // namespace millrace
