#include "api/spare_memory.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

/// So many times what is wanted, and no more, may be taken.
constexpr std::size_t excess_max = 4;

}  // namespace

std::string spare_memory::take(std::size_t bytes) {
  std::string out;
  if (bytes >= bytes_min) {
    std::lock_guard lock(mutex_);
    was_used_ = true;
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const std::string& one) {
      return one.capacity() >= bytes && one.capacity() / excess_max <= bytes;
    });
    if (found != kept_.end()) {
      out = std::move(*found);
      *found = std::move(kept_.back());
      kept_.pop_back();
      bytes_ -= out.capacity();
    }
  }
  out.reserve(bytes);
  return out;
}

void spare_memory::give(std::string text) {
  if (text.capacity() < bytes_min) return;
  text.clear();
  std::lock_guard lock(mutex_);
  was_used_ = true;
  if (bytes_ + text.capacity() > bytes_max) return;
  bytes_ += text.capacity();
  kept_.push_back(std::move(text));
}

void spare_memory::tick(std::uint64_t now_us) {
  std::vector<std::string> gone;  // given back without the lock
  std::lock_guard lock(mutex_);
  if (std::exchange(was_used_, false)) used_us_ = now_us;
  if (now_us - used_us_ < idle_us) return;
  std::swap(gone, kept_);
  bytes_ = 0;
}

std::size_t spare_memory::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace millrace
