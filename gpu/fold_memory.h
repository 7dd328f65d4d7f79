#pragma once
/// Memory of a view's state on the CPU: everything is taken from one budget, so that the limit of
/// the plan holds and fold_size::bytes is what there is.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

struct memory_budget {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_max = 0;
  std::uint64_t groups = 0;
  std::uint64_t groups_max = 0;

  bool allows(std::uint64_t more) const { return more <= bytes_max && bytes <= bytes_max - more; }
};

/// For what lives no longer than a call.
inline memory_budget unlimited_budget() {
  return {.bytes_max = UINT64_MAX, .groups_max = UINT64_MAX};
}

/// Zeroed words, or null where the budget says no. Large blocks are backed by huge pages where the
/// system has them.
std::uint64_t* take_words(memory_budget& budget, std::size_t words);
void give_words(memory_budget& budget, std::uint64_t* block, std::size_t words);

/// Gives out words, never moves them, and frees all at once. Blocks double up to 2 MiB.
class word_arena {
 public:
  explicit word_arena(memory_budget& budget) : budget_(budget) {}
  ~word_arena();
  word_arena(const word_arena&) = delete;
  word_arena& operator=(const word_arena&) = delete;

  /// Aligned to a cache line where `words` is a multiple of one. Null: the budget says no.
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
