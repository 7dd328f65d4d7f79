#pragma once
/// Memory of a view's state on the CPU: everything is taken from one budget, so that the limit of
/// the plan holds, and fold_size::bytes is what there is: used, or kept for the next window.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

/// Large blocks that were given back, for whoever takes one of the same size next: a window needs
/// what the one before it had, and pages that are there already need not be faulted in and cleared.
class spare_blocks {
 public:
  spare_blocks() = default;
  ~spare_blocks() { trim(0); }
  spare_blocks(const spare_blocks&) = delete;
  spare_blocks& operator=(const spare_blocks&) = delete;

  std::uint64_t bytes() const { return bytes_; }
  /// Null: there is none of that size.
  void* take(std::size_t bytes);
  void put(void* block, std::size_t bytes);
  /// Frees those that were given back first, until there are no more than `bytes_max`.
  void trim(std::uint64_t bytes_max);

 private:
  struct block {
    void* at;
    std::size_t bytes;
  };
  std::vector<block> blocks_;
  std::uint64_t bytes_ = 0;
};

/// Of one view; one thread.
struct memory_budget {
  std::uint64_t bytes = 0;  ///< in use
  std::uint64_t bytes_max = 0;
  std::uint64_t groups = 0;
  std::uint64_t groups_max = 0;
  /// While two sessions become one, which takes no more than the two had and a table's doubling.
  bool may_exceed = false;
  spare_blocks spare = {};  ///< together with what is in use never more than `bytes_max`

  bool allows(std::uint64_t more) const {
    return may_exceed || (more <= bytes_max && bytes <= bytes_max - more);
  }
};

/// For what lives no longer than a call.
inline memory_budget unlimited_budget() {
  return {.bytes_max = UINT64_MAX, .groups_max = UINT64_MAX};
}

/// Asks the system to back what of a block is whole huge pages by such, before it is written to for
/// the first time: a page fault for 2 MiB instead of 512. Where the system will not, nothing is
/// lost.
void prefer_huge_pages(void* block, std::size_t bytes);
/// vector::reserve() with that.
template <class T>
void reserve_huge(std::vector<T>& values, std::size_t count) {
  if (count <= values.capacity()) return;
  values.reserve(count);
  prefer_huge_pages(values.data() + values.size(), (count - values.size()) * sizeof(T));
}

/// Words with anything in them, aligned to a cache line; null where the budget says no. Large
/// blocks are backed by huge pages where the system has them.
std::uint64_t* take_words(memory_budget& budget, std::size_t words);
void give_words(memory_budget& budget, std::uint64_t* block, std::size_t words);
/// The same, for the next one that takes a block of this size, where it is a large one.
void leave_words(memory_budget& budget, std::uint64_t* block, std::size_t words);

/// Gives out words, never moves them, and frees all at once. Blocks double up to 2 MiB.
class word_arena {
 public:
  explicit word_arena(memory_budget& budget) : budget_(budget) {}
  ~word_arena();
  word_arena(const word_arena&) = delete;
  word_arena& operator=(const word_arena&) = delete;

  /// With anything in them; aligned to a cache line where `words` is a multiple of one. Null: the
  /// budget says no.
  std::uint64_t* take(std::size_t words) {
    if (left_ < words) return take_block(words);
    std::uint64_t* const at = next_;
    next_ += words;
    left_ -= words;
    return at;
  }
  /// Of an arena that gave out pieces of `words` alone: each, in order.
  template <class Visit>
  void for_each(std::size_t words, Visit visit) const {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const block& one = blocks_[i];
      const std::size_t used = one.words - (i + 1 == blocks_.size() ? left_ : one.words % words);
      for (std::size_t at = 0; at + words <= used; at += words)
        visit(one.first + at);
    }
  }

 private:
  struct block {
    std::uint64_t* first;
    std::size_t words;
  };
  std::uint64_t* take_block(std::size_t words);

  memory_budget& budget_;
  std::vector<block> blocks_;
  std::uint64_t* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace millrace
