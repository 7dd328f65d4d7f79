#pragma once
/// What a stream's log knows of its producers: the epoch in force and the first record number that
/// is not in the log. Stored with the data (commit records, snapshots at the start of segments), so
/// that a restarted server neither loses nor doubles a record.
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/ids.h"
#include "base/limits.h"

namespace millrace {

struct producer_state {
  epoch_number epoch{};
  record_number next{};         ///< first number not in the log
  std::uint64_t active_us = 0;  ///< arrival time of the last batch that named it

  friend bool operator==(const producer_state&, const producer_state&) = default;
};

/// One thread. Bounded by `capacity`; one silent for limits::dedup_period_us may go, the
/// longest-silent first. Every operation takes constant time.
class producer_table {
 public:
  explicit producer_table(std::size_t capacity = limits::producers_max) : capacity_(capacity) {}
  producer_table(const producer_table&) = delete;
  producer_table& operator=(const producer_table&) = delete;

  std::optional<producer_state> find(producer_id producer) const;
  /// Gives the producer its next epoch (1 for a new one). `exhausted` when the table is full of
  /// producers that were active within the dedup period.
  result<producer_state> grant_epoch(producer_id producer, std::uint64_t now_us);
  /// Notes that records up to but without `next` are in the log.
  void advance(producer_id producer, epoch_number epoch, record_number next, std::uint64_t now_us);
  /// As recovery reads it from a commit record or a snapshot. When the table is full the
  /// longest-silent producer goes.
  void restore(producer_id producer, const producer_state& state);

  std::size_t size() const { return nodes_.size(); }
  void clear();

  /// Calls visit(producer_id, const producer_state&) for each, the longest-silent first.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const item* one = oldest_; one != nullptr; one = one->second.newer) {
      visit(one->first, one->second.state);
    }
  }

 private:
  struct node;
  using item = std::pair<const producer_id, node>;
  struct node {
    producer_state state;
    item* older = nullptr;
    item* newer = nullptr;
  };

  item& touch(producer_id producer);
  void unlink(item& one);
  void drop_oldest();

  std::size_t capacity_;
  std::unordered_map<producer_id, node> nodes_;  ///< its items stay where they are
  item* oldest_ = nullptr;
  item* newest_ = nullptr;
};

}  // namespace millrace
