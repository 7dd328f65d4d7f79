#pragma once
/// The newest durable blocks, kept in memory, so that readers that keep up touch no disk. Guarded
/// by the log's mutex.
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>

#include "base/ids.h"
#include "shards/block_pool.h"

namespace millrace {

class device_batch;  // gpu/fold.h

class hot_tail {
 public:
  /// `bytes_max` bounds the memory of the buffers, not the blocks' bytes in them.
  explicit hot_tail(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  struct block {
    segment_number segment;
    std::uint64_t offset;
    std::uint64_t bytes;
    block_ref buffer;
    std::shared_ptr<const device_batch> device;  ///< what routing left on a device; may be null
  };

  /// Of the newest blocks only: what devices hold is little, and a view that keeps up is near.
  static constexpr std::size_t device_blocks_max = 4;

  /// Lets it hold at least `bytes` from now on. Any thread.
  void keep(std::uint64_t bytes) const {
    std::uint64_t now = bytes_max_;
    while (now < bytes && !bytes_max_.compare_exchange_weak(now, bytes)) {
    }
  }
  /// Adds the newest block and lets the oldest go.
  void push(block newest);
  void clear();
  /// The block that holds the byte at `offset`; null when it is not here.
  const block* find(segment_number segment, std::uint64_t offset) const;

 private:
  mutable std::atomic<std::uint64_t> bytes_max_;
  std::uint64_t bytes_ = 0;
  std::deque<block> blocks_;  ///< ascending by segment, then offset
};

}  // namespace millrace
