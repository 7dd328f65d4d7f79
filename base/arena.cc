#include "base/arena.h"

#include <cerrno>
#include <utility>

#include <sys/mman.h>

#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::uint64_t huge_page_bytes = 2 * limits::mib;

}  // namespace

result<arena> arena::create(const arena_options& options) {
  arena made;
  made.bytes_ = align_up(options.bytes, huge_page_bytes);
  const int protection = PROT_READ | PROT_WRITE;
  const int kind = MAP_PRIVATE | MAP_ANONYMOUS;
  void* region = MAP_FAILED;
  if (options.try_hugetlb) {
    region = mmap(nullptr, made.bytes_, protection, kind | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (region != MAP_FAILED) made.page_bytes_ = huge_page_bytes;
  }
  if (region == MAP_FAILED) {
    // Aligned by hand, so that transparent huge pages can cover it from the first byte.
    const std::uint64_t span = made.bytes_ + huge_page_bytes;
    region = mmap(nullptr, span, protection, kind | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) {
      return error::from_errno(errno, "arena of " + std::to_string(made.bytes_) + " bytes");
    }
    auto* start = static_cast<std::byte*>(region);
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    const std::uint64_t head = align_up(address, huge_page_bytes) - address;
    if (head > 0) munmap(start, head);
    if (head < huge_page_bytes) munmap(start + head + made.bytes_, huge_page_bytes - head);
    region = start + head;
    made.transparent_ = madvise(region, made.bytes_, MADV_HUGEPAGE) == 0;
  }
  made.base_ = static_cast<std::byte*>(region);
  return made;
}

arena::arena(arena&& other) noexcept {
  *this = std::move(other);
}

arena& arena::operator=(arena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  std::swap(carved_, other.carved_);
  std::swap(page_bytes_, other.page_bytes_);
  std::swap(transparent_, other.transparent_);
  return *this;
}

arena::~arena() {
  if (base_) munmap(base_, bytes_);
}

std::string arena::page_kind() const {
  if (page_bytes_ == huge_page_bytes) return "2 MiB huge pages";
  return transparent_ ? "transparent huge pages" : "4 KiB pages";
}

result<mutable_byte_view> arena::carve(std::uint64_t bytes, std::uint64_t alignment,
                                       const char* what) {
  const std::uint64_t from = align_up(carved_, alignment);
  if (from + bytes > bytes_) {
    return error(error_code::exhausted,
                 "arena of " + std::to_string(bytes_) + " bytes has no room for " +
                     std::to_string(bytes) + " bytes of " + what + " beside " +
                     std::to_string(carved_) + " in use; raise --arena-bytes");
  }
  carved_ = from + bytes;
  return mutable_byte_view(base_ + from, bytes);
}

result<slab_pool> slab_pool::create(arena& from, std::uint32_t slab_bytes, std::uint32_t count,
                                    const char* what) {
  slab_pool pool;
  pool.slab_bytes_ = static_cast<std::uint32_t>(align_up(slab_bytes, 64));
  MILLRACE_ASSIGN(const mutable_byte_view region,
                  from.carve(std::uint64_t{pool.slab_bytes_} * count, 4096, what));
  pool.slabs_.resize(count);
  pool.free_.reserve(count);
  for (std::uint32_t i = count; i-- > 0;) {
    pool.slabs_[i].data = region.data() + std::uint64_t{pool.slab_bytes_} * i;
    pool.free_.push_back(&pool.slabs_[i]);
  }
  return pool;
}

slab* slab_pool::acquire() {
  if (free_.empty()) return nullptr;
  slab* one = free_.back();
  free_.pop_back();
  one->references = 1;
  return one;
}

void slab_pool::release(slab* one) {
  MILLRACE_CHECK(one->references > 0, "slab released more often than acquired");
  if (--one->references == 0) free_.push_back(one);
}

}  // namespace millrace
