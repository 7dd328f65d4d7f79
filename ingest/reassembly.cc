#include "ingest/reassembly.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace millrace {

void reassembly::begin(std::uint64_t record, std::uint32_t record_bytes, std::uint64_t now_us) {
  record_ = record;
  record_bytes_ = record_bytes;
  progress_us_ = now_us;
  have_.clear();
}

reassembly::piece reassembly::add(std::uint32_t offset, byte_view bytes, std::uint64_t now_us) {
  const std::uint32_t end = offset + static_cast<std::uint32_t>(bytes.size());
  MILLRACE_CHECK(end <= record_bytes_, "a fragment reaches beyond its record");
  // The first piece that ends at or after the start of this one: what it can touch begins there.
  auto first = std::ranges::lower_bound(have_, offset, {}, [](const auto& p) { return p.second; });
  if (first != have_.end() && first->first <= offset && end <= first->second) {
    return piece::duplicate;
  }
  auto last = first;
  std::uint32_t from = offset;
  std::uint32_t to = end;
  while (last != have_.end() && last->first <= end) {
    from = std::min(from, last->first);
    to = std::max(to, last->second);
    ++last;
  }
  if (first == last) {
    if (have_.size() >= pieces_max) return piece::no_room;
    have_.insert(first, {from, to});
  } else {
    *first = {from, to};
    have_.erase(first + 1, last);
  }
  std::memcpy(data() + offset, bytes.data(), bytes.size());
  progress_us_ = now_us;
  return piece::taken;
}

result<std::unique_ptr<reassembly_pool>> reassembly_pool::create(arena& from, std::uint32_t count) {
  MILLRACE_ASSIGN(slab_pool slabs,
                  slab_pool::create(from, limits::record_bytes_max, count, "reassembly buffers"));
  std::unique_ptr<reassembly_pool> pool(new reassembly_pool(std::move(slabs)));
  pool->all_.reserve(count);
  pool->free_.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    pool->all_.emplace_back(pool->slabs_.acquire());
    pool->free_.push_back(&pool->all_.back());
  }
  return pool;
}

reassembly* reassembly_pool::acquire() {
  if (free_.empty()) return nullptr;
  reassembly* one = free_.back();
  free_.pop_back();
  return one;
}

void reassembly_pool::release(std::uint64_t index) {
  MILLRACE_CHECK(index < all_.size() && free_.size() < all_.size(),
                 "a reassembly buffer came back twice");
  free_.push_back(&all_[index]);
}

}  // namespace millrace
