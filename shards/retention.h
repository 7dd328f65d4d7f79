#pragma once
/// What a stream's retention policy means at a moment: how far back to keep, whether new records
/// are refused, and which closed shards nobody can read anything from any more.
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "shards/catalog.h"
#include "shards/stream_log.h"

namespace millrace {

/// Arguments for stream_log::drop_segments.
struct drop_limits {
  std::uint64_t before_us = 0;
  std::uint64_t bytes_max = 0;
};
/// `hour_us`: microseconds in an hour of retention; tests shorten it.
drop_limits limits_of(const retention_policy& policy, std::uint64_t now_us, std::uint64_t hour_us);

/// True when the policy is to refuse records and the log has all the bytes it may have.
bool is_full(const retention_policy& policy, std::uint64_t log_bytes);
/// "retention of 1048576 bytes reached"
std::string full_reason(const retention_policy& policy);

/// Closed shards to forget: those whose records have all been dropped, and those that never had any
/// once a reader of that time would be past the horizon.
std::vector<shard_index> expired_shards(const stream_description& stream, const stream_log& log,
                                        std::uint64_t before_us);

/// Segments of a stream with a byte bound are small enough that dropping one frees a part of it.
std::uint64_t segment_bytes_for(const retention_policy& policy, std::uint64_t segment_bytes);

}  // namespace millrace
