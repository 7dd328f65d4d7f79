#pragma once
/// The open shards of a stream as ranges of the 128-bit hash space, and the lookup in them.
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/types.h"
#include "gpu/hash_range.h"

namespace millrace {

/// Immutable once made: a reshard makes a new map. Ranges are given by their starts, ascending; the
/// first starts at 0, each ends before the next one starts, the last ends at 2^128 - 1, so every
/// hash key is in exactly one range. Reading is thread-safe.
class shard_map {
 public:
  /// `starts[i]` is where shard `shards[i]` starts. 1 to limits::open_shards_max of them; anything
  /// that is not as described above is an `invalid_argument`.
  static result<shard_map> create(std::vector<uint128> starts, std::vector<shard_index> shards);

  /// `count` shards (1 to limits::open_shards_max), numbered from 0, with Kinesis' even split:
  /// shard i starts at i * floor(2^128 / count).
  static shard_map even(std::uint32_t count);

  /// The same number for copies of one map, another one for every other map: what a device's cache
  /// of maps knows them by.
  std::uint64_t id() const { return id_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(starts_.size()); }
  const std::vector<uint128>& starts() const { return starts_; }
  shard_index shard(shard_ordinal ordinal) const { return shards_[ordinal.value]; }

  /// The range that holds `hash_key`.
  shard_ordinal find(uint128 hash_key) const;

  /// The lookup's tables, for backends; they live as long as this map.
  hash_ranges ranges() const {
    return {starts_.data(), bucket_first_.data(), bucket_bits_, search_steps_};
  }
  /// Their sizes are size() and 2^bucket_bits + 1.
  const std::vector<std::uint16_t>& bucket_first() const { return bucket_first_; }

 private:
  shard_map(std::vector<uint128> starts, std::vector<shard_index> shards);

  std::uint64_t id_;
  std::vector<uint128> starts_;
  std::vector<shard_index> shards_;
  std::vector<std::uint16_t> bucket_first_;
  std::uint32_t bucket_bits_ = 0;
  std::uint32_t search_steps_ = 0;
};

/// Start of shard i of count: i * floor(2^128 / count).
uint128 even_shard_start(std::uint32_t i, std::uint32_t count);

}  // namespace millrace
