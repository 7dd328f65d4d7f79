#pragma once
/// What a stream's log knows of its producers: the epoch in force and the first record number that
/// is not in the log. Stored with the data (commit records, snapshots at the start of segments), so
/// that a restarted server neither loses nor doubles a record.
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace millrace {

struct producer_state {
  epoch_number epoch{};
  record_number next{};         ///< first number not in the log
  std::uint64_t active_us = 0;  ///< arrival time of the last batch that named it
};

/// One thread. Bounded by limits::producers_max; one silent for limits::dedup_period_us may go.
class producer_table {
 public:
  std::optional<producer_state> find(producer_id producer) const;
  /// Gives the producer its next epoch (1 for a new one). `exhausted` when the table is full of
  /// producers that were active within the dedup period.
  result<producer_state> grant_epoch(producer_id producer, std::uint64_t now_us);
  /// Notes that records up to but without `next` are in the log.
  void advance(producer_id producer, epoch_number epoch, record_number next, std::uint64_t now_us);
  /// As recovery reads it from a commit record or a snapshot.
  void restore(producer_id producer, const producer_state& state);

  std::size_t size() const { return states_.size(); }
  const std::unordered_map<producer_id, producer_state>& all() const { return states_; }

 private:
  std::unordered_map<producer_id, producer_state> states_;
};

}  // namespace millrace
