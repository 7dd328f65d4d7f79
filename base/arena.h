#pragma once
/// The arena: one owned, page-aligned region that all records pass through. Receive buffers (and a
/// DPDK port's mempool), reassembly buffers and block buffers are carved from it once, at start-up;
/// a later CUDA backend registers it as pinned memory with one call.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace millrace {

struct arena_options {
  std::uint64_t bytes = 0;
  bool try_hugetlb = true;  ///< explicit 2 MiB pages first; transparent ones by madvise otherwise
};

/// Move-only owner of the region. carve() is for start-up, on one thread; the pieces live as long
/// as the arena.
class arena {
 public:
  /// Maps the region; the pages are touched lazily unless they are explicit huge pages.
  static result<arena> create(const arena_options& options);

  arena(arena&& other) noexcept;
  arena& operator=(arena&& other) noexcept;
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena();

  std::byte* base() const { return base_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t carved_bytes() const { return carved_; }
  std::uint64_t page_bytes() const { return page_bytes_; }
  /// "2 MiB huge pages", "transparent huge pages" or "4 KiB pages": for logs and doctor.
  std::string page_kind() const;

  /// The next `bytes` of the region at a multiple of `alignment` (a power of two); an `exhausted`
  /// error names `what` when the region is used up.
  result<mutable_byte_view> carve(std::uint64_t bytes, std::uint64_t alignment, const char* what);

 private:
  arena() = default;
  std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint64_t carved_ = 0;
  std::uint64_t page_bytes_ = 4096;
  bool transparent_ = false;
};

/// One buffer of a slab_pool. `references` is not atomic: a slab belongs to its pool's thread.
struct slab {
  std::byte* data = nullptr;
  std::uint32_t references = 0;
};

/// Equal buffers carved from the arena; the last one given back is the next one handed out, so that
/// a lightly loaded door stays in the cache. One thread.
class slab_pool {
 public:
  static result<slab_pool> create(arena& from, std::uint32_t slab_bytes, std::uint32_t count,
                                  const char* what);

  std::uint32_t slab_bytes() const { return slab_bytes_; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(slabs_.size()); }
  std::uint32_t free_count() const { return static_cast<std::uint32_t>(free_.size()); }

  /// A slab with one reference, or null when none is free.
  slab* acquire();
  /// Drops one reference; the last one frees the slab.
  void release(slab* one);

 private:
  std::vector<slab> slabs_;
  std::vector<slab*> free_;
  std::uint32_t slab_bytes_ = 0;
};

}  // namespace millrace
