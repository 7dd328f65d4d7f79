#include "api/body_pool.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {

result<std::unique_ptr<body_pool>> body_pool::create(arena& from, std::uint64_t bytes) {
  MILLRACE_ASSIGN(const mutable_byte_view region,
                  from.carve(bytes / page_bytes * page_bytes, 4096, "HTTP request bodies"));
  return std::unique_ptr<body_pool>(new body_pool(region));
}

body_pool::body_pool(mutable_byte_view region)
    : region_(region), used_(region.size() / page_bytes), free_pages_(used_.size()) {}

mutable_byte_view body_pool::reserve(std::uint64_t bytes) {
  if (bytes > region_.size()) return {};
  const auto pages =
      static_cast<std::size_t>(std::max<std::uint64_t>((bytes + page_bytes - 1) / page_bytes, 1));
  std::lock_guard lock(mutex_);
  if (pages > free_pages_) return {};
  std::size_t run = 0;
  bool is_first = true;
  for (std::size_t page = lowest_free_; page < used_.size(); ++page) {
    if (used_[page]) {
      run = 0;
      continue;
    }
    if (is_first) lowest_free_ = page;
    is_first = false;
    if (++run < pages) continue;
    const std::size_t from = page + 1 - pages;
    std::fill_n(used_.begin() + static_cast<std::ptrdiff_t>(from), pages, true);
    free_pages_ -= pages;
    return region_.subspan(from * page_bytes, pages * page_bytes);
  }
  return {};
}

void body_pool::release(mutable_byte_view room) {
  const auto from = static_cast<std::size_t>(room.data() - region_.data()) / page_bytes;
  const std::size_t pages = room.size() / page_bytes;
  std::lock_guard lock(mutex_);
  MILLRACE_CHECK(from + pages <= used_.size() && used_[from], "room of another pool");
  std::fill_n(used_.begin() + static_cast<std::ptrdiff_t>(from), pages, false);
  free_pages_ += pages;
  lowest_free_ = std::min(lowest_free_, from);
}

std::uint64_t body_pool::free_bytes() const {
  std::lock_guard lock(mutex_);
  return std::uint64_t{free_pages_} * page_bytes;
}

}  // namespace millrace
