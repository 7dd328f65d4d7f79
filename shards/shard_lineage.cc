#include "shards/shard_lineage.h"

#include <algorithm>
#include <span>

#include "base/limits.h"

namespace millrace {
namespace {

std::string to_decimal(uint128 value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value != 0);
  return digits;
}

/// Applies splits and merges to one description, one after the other.
class lineage_editor {
 public:
  lineage_editor(const stream_description& before, std::uint32_t now_s)
      : after_(before), now_s_(now_s) {}

  shard_info* find(shard_index shard) {
    const auto at = std::lower_bound(
        after_.shards.begin(), after_.shards.end(), shard,
        [](const shard_info& one, shard_index wanted) { return one.shard < wanted; });
    return at != after_.shards.end() && at->shard == shard ? &*at : nullptr;
  }

  result<shard_info*> find_open(shard_index shard) {
    shard_info* found = find(shard);
    const std::string who = shard_name(shard) + " of stream '" + after_.name + "'";
    if (found == nullptr) return error(error_code::not_found, who + " does not exist");
    if (!found->is_open()) {
      return error(error_code::invalid_argument,
                   who +
                       " has already been merged or split, and thus is not eligible for merging or "
                       "splitting");
    }
    return found;
  }

  /// Returns the child that starts at `new_start`; the other one is the shard before it.
  std::pair<shard_index, shard_index> split(shard_index shard, uint128 new_start) {
    const shard_info parent = close(shard);
    const std::uint32_t created_s = parent.created_s;
    const shard_index left = add(
        {.hash_first = parent.hash_first, .hash_last = new_start - 1, .parent = shard}, created_s);
    const shard_index right =
        add({.hash_first = new_start, .hash_last = parent.hash_last, .parent = shard}, created_s);
    return {left, right};
  }

  shard_index merge(shard_index lower, shard_index upper) {
    const shard_info first = close(lower);
    const shard_info second = close(upper);
    return add({.hash_first = first.hash_first,
                .hash_last = second.hash_last,
                .parent = lower,
                .adjacent_parent = upper},
               std::max(first.created_s, second.created_s));
  }

  /// Splits an open shard at all `starts` inside it, in halves, so that the lineage stays shallow.
  /// Appends the pieces, by hash key, to `pieces`.
  void split_at(shard_index shard, std::span<const uint128> starts,
                std::vector<shard_index>& pieces) {
    if (starts.empty()) {
      pieces.push_back(shard);
      return;
    }
    const std::size_t middle = starts.size() / 2;
    const auto [left, right] = split(shard, starts[middle]);
    split_at(left, starts.first(middle), pieces);
    split_at(right, starts.subspan(middle + 1), pieces);
  }

  /// Merges adjacent shards into one, pairwise.
  void merge_all(std::vector<shard_index> pieces) {
    while (pieces.size() > 1) {
      std::vector<shard_index> merged;
      for (std::size_t i = 0; i + 1 < pieces.size(); i += 2) {
        merged.push_back(merge(pieces[i], pieces[i + 1]));
      }
      if (pieces.size() % 2 == 1) merged.push_back(pieces.back());
      pieces = std::move(merged);
    }
  }

  stream_description take() { return std::move(after_); }

 private:
  shard_info close(shard_index shard) {
    shard_info& parent = *find(shard);
    parent.closed_s = std::max(now_s_, parent.created_s);
    return parent;
  }
  shard_index add(shard_info child, std::uint32_t parents_created_s) {
    child.shard = after_.next_shard;
    child.created_s = std::max(now_s_, parents_created_s + 1);
    after_.next_shard = after_.next_shard.next();
    after_.shards.push_back(child);
    return child.shard;
  }

  stream_description after_;
  std::uint32_t now_s_;
};

}  // namespace

std::string shard_name(shard_index shard) {
  std::string text = "shardId-000000000000";
  std::uint32_t rest = shard.value;
  for (auto digit = text.rbegin(); rest != 0; ++digit, rest /= 10)
    *digit = static_cast<char>('0' + rest % 10);
  return text;
}

result<stream_description> split_shard(const stream_description& before, shard_index shard,
                                       uint128 new_start, std::uint32_t now_s) {
  lineage_editor editor(before, now_s);
  MILLRACE_ASSIGN(const shard_info* parent, editor.find_open(shard));
  const bool inside = parent->hash_last - parent->hash_first > 2 &&
                      new_start > parent->hash_first + 1 && new_start < parent->hash_last;
  if (!inside) {
    return error(error_code::invalid_argument,
                 "new starting hash key " + to_decimal(new_start) +
                     " is not both greater than one plus the starting hash key " +
                     to_decimal(parent->hash_first) + " of " + shard_name(shard) +
                     " and less than its ending hash key " + to_decimal(parent->hash_last));
  }
  editor.split(shard, new_start);
  return editor.take();
}

result<stream_description> merge_shards(const stream_description& before, shard_index shard,
                                        shard_index adjacent, std::uint32_t now_s) {
  lineage_editor editor(before, now_s);
  MILLRACE_ASSIGN(const shard_info* first, editor.find_open(shard));
  MILLRACE_ASSIGN(const shard_info* second, editor.find_open(adjacent));
  if (first->hash_first > second->hash_first) std::swap(first, second);
  if (first->hash_last == uint128_max || first->hash_last + 1 != second->hash_first) {
    return error(error_code::invalid_argument, shard_name(shard) + " and " + shard_name(adjacent) +
                                                   " of stream '" + before.name +
                                                   "' are not adjacent, and thus cannot be merged");
  }
  editor.merge(first->shard, second->shard);
  return editor.take();
}

result<stream_description> reshard_evenly(const stream_description& before, std::uint32_t count,
                                          std::uint32_t now_s) {
  if (count < 1 || count > limits::open_shards_max) {
    return error(error_code::invalid_argument,
                 "stream '" + before.name + "': " + std::to_string(count) +
                     " shards; a stream has 1 to " + std::to_string(limits::open_shards_max));
  }
  std::vector<uint128> starts;
  for (std::uint32_t i = 0; i < count; ++i)
    starts.push_back(even_shard_start(i, count));

  std::vector<shard_info> open;
  for (const shard_info& shard : before.shards) {
    if (shard.is_open()) open.push_back(shard);
  }
  std::sort(open.begin(), open.end(),
            [](const shard_info& a, const shard_info& b) { return a.hash_first < b.hash_first; });

  // First every new boundary becomes the start of some piece, then each new range is merged from
  // its pieces.
  lineage_editor editor(before, now_s);
  std::vector<shard_index> pieces;
  for (const shard_info& shard : open) {
    const auto from = std::upper_bound(starts.begin(), starts.end(), shard.hash_first);
    const auto to = std::upper_bound(from, starts.end(), shard.hash_last);
    editor.split_at(shard.shard, {from, to}, pieces);
  }
  std::size_t piece = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::vector<shard_index> of_range;
    while (piece < pieces.size() &&
           (i + 1 == count || editor.find(pieces[piece])->hash_first < starts[i + 1])) {
      of_range.push_back(pieces[piece++]);
    }
    editor.merge_all(std::move(of_range));
  }
  return editor.take();
}

}  // namespace millrace
