#pragma once
/// A durable block as readers of the whole log get it: its records by shard, where it is, and what
/// comes after it.
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/types.h"

namespace millrace {

class device_batch;  // gpu/fold.h

/// A place between two blocks of a log, in log order. That of a durable block stays valid when the
/// log is opened again, for as long as retention leaves the block. Default: the oldest block.
struct log_position {
  segment_number segment{};
  std::uint64_t offset = 0;
  friend constexpr auto operator<=>(const log_position&, const log_position&) = default;
};

/// A range of bytes that recovery or a reader found damaged and skipped.
struct damage {
  std::string path;
  std::uint64_t from = 0;
  std::uint64_t to = 0;  ///< exclusive
  std::string what;
};

/// A block's records of one shard: contiguous, in record order.
struct block_run {
  shard_index shard{};
  record_index first{};
  std::uint32_t record_count = 0;
  byte_view bytes;
};

/// A block that has records.
struct log_block {
  log_position at;
  std::uint64_t arrival_us = 0;
  std::vector<block_run> runs;             ///< as they lie in the block
  std::uint64_t record_bytes = 0;          ///< of all runs
  std::shared_ptr<const void> keep_alive;  ///< what `runs` points into
  /// What routing left of these records on a device; null when it left nothing, or the block comes
  /// from the disk.
  std::shared_ptr<const device_batch> device;
};

/// One step along a log.
struct block_step {
  std::optional<log_block> block;  ///< none: all that is durable has been read
  log_position next;               ///< where to go on, with a block or without
  /// Passed over on the way: blocks, and runs left out of `block`. Counted as blocks_damaged.
  std::vector<damage> damaged;
  /// Retention has taken what was at the position; the step went on at the oldest block. Which
  /// records are missing shows in the runs' first indexes.
  bool dropped = false;
  std::uint64_t newest_us = 0;  ///< arrival of the newest durable block
  bool from_memory = false;     ///< the block was among the newest: no disk was read
};

}  // namespace millrace
