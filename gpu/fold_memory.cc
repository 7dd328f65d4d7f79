#include "gpu/fold_memory.h"

#include <algorithm>
#include <new>

#include <sys/mman.h>

namespace millrace {
namespace {

constexpr std::size_t huge_page_bytes = 2 * 1024 * 1024;
constexpr std::size_t first_block_words = 128;
constexpr std::size_t largest_block_words = huge_page_bytes / sizeof(std::uint64_t);

/// Blocks start at cache lines, large ones at huge pages.
std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t(bytes >= huge_page_bytes ? huge_page_bytes : 64);
}

}  // namespace

void* spare_blocks::take(std::size_t bytes) {
  const auto found = std::ranges::find(blocks_, bytes, &block::bytes);
  if (found == blocks_.end()) return nullptr;
  void* const at = found->at;
  *found = blocks_.back();
  blocks_.pop_back();
  bytes_ -= bytes;
  return at;
}

void spare_blocks::put(void* at, std::size_t bytes) {
  blocks_.push_back({at, bytes});
  bytes_ += bytes;
}

void spare_blocks::trim(std::uint64_t bytes_max) {
  auto kept = blocks_.begin();
  for (; kept != blocks_.end() && bytes_ > bytes_max; ++kept) {
    ::operator delete(kept->at, alignment_of(kept->bytes));
    bytes_ -= kept->bytes;
  }
  blocks_.erase(blocks_.begin(), kept);
}

void prefer_huge_pages(void* block, std::size_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(block);
  const std::uintptr_t from = (first + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes;
  const std::uintptr_t to = (first + bytes) / huge_page_bytes * huge_page_bytes;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
}

std::uint64_t* take_words(memory_budget& budget, std::size_t words) {
  const std::size_t bytes = words * sizeof(std::uint64_t);
  if (!budget.allows(bytes)) return nullptr;
  void* block = budget.spare.take(bytes);
  if (block == nullptr) {
    const std::uint64_t used = budget.bytes + bytes;
    budget.spare.trim(budget.bytes_max > used ? budget.bytes_max - used : 0);
    block = ::operator new(bytes, alignment_of(bytes), std::nothrow);
    if (block == nullptr) return nullptr;
    prefer_huge_pages(block, bytes);
  }
  budget.bytes += bytes;
  return static_cast<std::uint64_t*>(block);
}

void give_words(memory_budget& budget, std::uint64_t* block, std::size_t words) {
  if (block == nullptr) return;
  const std::size_t bytes = words * sizeof(std::uint64_t);
  ::operator delete(block, alignment_of(bytes));
  budget.bytes -= bytes;
}

void leave_words(memory_budget& budget, std::uint64_t* block, std::size_t words) {
  const std::size_t bytes = words * sizeof(std::uint64_t);
  if (bytes < huge_page_bytes) return give_words(budget, block, words);
  budget.spare.put(block, bytes);
  budget.bytes -= bytes;
}

word_arena::~word_arena() {
  for (const block& one : blocks_)
    leave_words(budget_, one.first, one.words);
}

std::uint64_t* word_arena::take_block(std::size_t words) {
  const std::size_t last = blocks_.empty() ? first_block_words / 2 : blocks_.back().words;
  const std::size_t size = std::max(std::min(2 * last, largest_block_words), words);
  std::uint64_t* const first = take_words(budget_, size);
  if (first == nullptr) return nullptr;
  blocks_.push_back({first, size});
  next_ = first + words;
  left_ = size - words;
  return first;
}

}  // namespace millrace
