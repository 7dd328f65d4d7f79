#pragma once
/// Memory for direct reads and writes.
#include <cstdlib>
#include <memory>

#include <sys/mman.h>

#include "base/check.h"
#include "base/types.h"
#include "shards/file.h"

namespace millrace {

struct free_memory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using aligned_memory = std::unique_ptr<std::byte, free_memory>;

/// Memory of this size and more asks for huge pages: a block is filled from end to end and then read
/// by the disk, and with small pages every few records pay for a walk through the page tables.
inline constexpr std::uint64_t huge_page_bytes = 2 * 1024 * 1024;

/// `bytes`, rounded up, at a multiple of disk_block_bytes; not zeroed.
inline aligned_memory allocate_aligned(std::uint64_t bytes) {
  const bool is_large = bytes >= huge_page_bytes;
  const std::uint64_t alignment = is_large ? huge_page_bytes : disk_block_bytes;
  const std::uint64_t whole = align_up(bytes == 0 ? 1 : bytes, alignment);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, whole));
  MILLRACE_CHECK(memory != nullptr, "out of memory");
  // Small pages do as well: what the kernel says to the wish changes nothing.
  if (is_large) static_cast<void>(madvise(memory, whole, MADV_HUGEPAGE));
  return aligned_memory(memory);
}

}  // namespace millrace
