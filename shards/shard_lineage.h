#pragma once
/// The rules of splitting and merging shards, as Kinesis has them: pure functions from a stream's
/// description to the one after the change. Shard indexes go up and are never reused; a child is
/// created in a later second than its parents (its sequence numbers begin with that second), and
/// not before they were closed. Nothing sleeps for that: a parent of this very second gets children
/// of the next.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "shards/catalog.h"

namespace millrace {

/// "shardId-000000000012"
std::string shard_name(shard_index shard);

/// Closes `shard`; its children are [first, new_start - 1] and [new_start, last].
/// `invalid_argument` unless the shard is open and first + 1 < new_start < last; `not_found` when
/// there is no such shard.
result<stream_description> split_shard(const stream_description& before, shard_index shard,
                                       uint128 new_start, std::uint32_t now_s);

/// Closes both; their child has both ranges. `invalid_argument` unless both are open and adjacent.
result<stream_description> merge_shards(const stream_description& before, shard_index shard,
                                        shard_index adjacent, std::uint32_t now_s);

/// To `count` shards, shard i starting at i * floor(2^128 / count): a series of splits at the new
/// boundaries, then of merges, like UpdateShardCount; the shards in between live for no time and
/// stay empty. Shards whose range does not change stay open.
result<stream_description> reshard_evenly(const stream_description& before, std::uint32_t count,
                                          std::uint32_t now_s);

}  // namespace millrace
