#pragma once
/// The open shards of a stream as ranges of the 128-bit hash space, and the lookup in them.
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/types.h"

namespace millrace {

/// Immutable once made: a reshard makes a new map. Ranges are given by their starts, ascending; the
/// first starts at 0, each ends before the next one starts, the last ends at 2^128 - 1, so every
/// hash key is in exactly one range. Reading is thread-safe.
class shard_map {
 public:
  /// `starts[i]` is where shard `shards[i]` starts. At most limits::open_shards_max.
  static result<shard_map> create(std::vector<uint128> starts, std::vector<shard_index> shards);

  /// Shards 0..count-1 with Kinesis' even split: shard i starts at i * floor(2^128 / count).
  static shard_map even(std::uint32_t count);

  std::uint32_t size() const { return static_cast<std::uint32_t>(starts_.size()); }
  const std::vector<uint128>& starts() const { return starts_; }
  shard_index shard(shard_ordinal ordinal) const { return shards_[ordinal.value]; }

  /// The range that holds `hash_key`.
  shard_ordinal find(uint128 hash_key) const;

  /// Two-level lookup for backends: the top 8..16 bits of a hash key select `bucket_first()[b]`, the
  /// ordinal of the range that holds the bucket's first point; the range is at or after it.
  std::uint32_t bucket_bits() const { return bucket_bits_; }
  const std::vector<std::uint16_t>& bucket_first() const { return bucket_first_; }

 private:
  std::vector<uint128> starts_;
  std::vector<shard_index> shards_;
  std::vector<std::uint16_t> bucket_first_;
  std::uint32_t bucket_bits_ = 0;
};

/// Start of shard i of count: i * floor(2^128 / count).
uint128 even_shard_start(std::uint32_t i, std::uint32_t count);

}  // namespace millrace
