#pragma once
/// Memory for direct reads and writes.
#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "base/types.h"
#include "shards/file.h"

namespace millrace {

struct free_memory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using aligned_memory = std::unique_ptr<std::byte, free_memory>;

/// `bytes`, rounded up, at a multiple of disk_block_bytes; not zeroed.
inline aligned_memory allocate_aligned(std::uint64_t bytes) {
  const std::uint64_t whole = align_up(bytes == 0 ? 1 : bytes, disk_block_bytes);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(disk_block_bytes, whole));
  MILLRACE_CHECK(memory != nullptr, "out of memory");
  return aligned_memory(memory);
}

}  // namespace millrace
