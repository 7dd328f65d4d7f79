#include "shards/block_pool.h"

#include <algorithm>
#include <bit>

namespace millrace {
namespace {

/// The smallest size of the pool's steps that holds `bytes`.
std::uint64_t step_of(std::uint64_t bytes) {
  const std::uint64_t least = std::max<std::uint64_t>(bytes, 4 * disk_block_bytes);
  return align_up(least, std::bit_floor(least) / 4);
}

}  // namespace

void block_ref::release() {
  if (one_ == nullptr || one_->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::shared_ptr<block_pool> home = std::move(one_->home_);
  home->give_back(one_);
}

block_ref block_pool::take(std::uint64_t bytes) {
  const std::uint64_t capacity = step_of(bytes);
  std::unique_ptr<block_buffer> found;
  {
    std::lock_guard lock(mutex_);
    for (auto one = idle_.rbegin(); one != idle_.rend(); ++one) {
      if ((*one)->capacity() != capacity) continue;
      found = std::move(*one);
      idle_.erase(std::next(one).base());
      idle_bytes_ -= capacity;
      break;
    }
  }
  if (found == nullptr) found = std::make_unique<block_buffer>(capacity);
  found->home_ = shared_from_this();
  return block_ref(found.release());
}

void block_pool::give_back(block_buffer* one) {
  std::unique_ptr<block_buffer> owned(one);
  std::lock_guard lock(mutex_);
  if (owned->capacity() > idle_bytes_max_) return;
  // Sizes that are no longer asked for leave first: the front was idle the longest.
  while (idle_bytes_ + owned->capacity() > idle_bytes_max_) {
    idle_bytes_ -= idle_.front()->capacity();
    idle_.erase(idle_.begin());
  }
  idle_bytes_ += owned->capacity();
  idle_.push_back(std::move(owned));
}

void block_pool::shrink() {
  std::lock_guard lock(mutex_);
  idle_.clear();
  idle_bytes_ = 0;
}

std::uint64_t block_pool::idle_bytes() const {
  std::lock_guard lock(mutex_);
  return idle_bytes_;
}

}  // namespace millrace
