#pragma once
/// Memory for direct reads and writes.
#include <cstdlib>
#include <memory>

#include <sys/mman.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/types.h"
#include "shards/file.h"

namespace millrace {

struct free_memory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using aligned_memory = std::unique_ptr<std::byte, free_memory>;

/// `bytes`, rounded up, at a multiple of disk_block_bytes; not zeroed. Large ones lie in huge pages
/// where the kernel has some: a block is touched all over.
inline aligned_memory allocate_aligned(std::uint64_t bytes) {
  constexpr std::uint64_t huge_page_bytes = 2 * limits::mib;
  const std::uint64_t unit = bytes < huge_page_bytes ? disk_block_bytes : huge_page_bytes;
  const std::uint64_t whole = align_up(bytes == 0 ? 1 : bytes, disk_block_bytes);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(unit, align_up(whole, unit)));
  MILLRACE_CHECK(memory != nullptr, "out of memory");
  // What does not fill a huge page keeps small ones, so that no memory is spent on rounding.
  const std::uint64_t huge = whole / huge_page_bytes * huge_page_bytes;
  if (huge != 0) madvise(memory, huge, MADV_HUGEPAGE);
  return aligned_memory(memory);
}

}  // namespace millrace
