#include "shards/retention.h"

#include <algorithm>

#include "base/limits.h"

namespace millrace {

drop_limits limits_of(const retention_policy& policy, std::uint64_t now_us, std::uint64_t hour_us) {
  const std::uint64_t keep_us = policy.hours * hour_us;
  return {.before_us = now_us > keep_us ? now_us - keep_us : 0,
          .bytes_max = policy.when_full == full_policy::drop_oldest ? policy.bytes_max : 0};
}

bool is_full(const retention_policy& policy, std::uint64_t log_bytes) {
  return policy.when_full == full_policy::refuse && policy.bytes_max != 0 &&
         log_bytes >= policy.bytes_max;
}

std::string full_reason(const retention_policy& policy) {
  return "retention of " + std::to_string(policy.bytes_max) + " bytes reached";
}

std::vector<shard_index> expired_shards(const stream_description& stream, const stream_log& log,
                                        std::uint64_t before_us) {
  std::vector<shard_index> expired;
  for (const shard_info& shard : stream.shards) {
    if (shard.is_open()) continue;
    const record_index end = log.durable_end(shard.shard);
    const bool was_used = end.value > 0;
    const bool is_empty = log.trim_horizon(shard.shard) >= end;
    if (is_empty && (was_used || *shard.closed_s < before_us / 1'000'000)) {
      expired.push_back(shard.shard);
    }
  }
  return expired;
}

std::uint64_t segment_bytes_for(const retention_policy& policy, std::uint64_t segment_bytes) {
  if (policy.bytes_max == 0) return segment_bytes;
  // Room for a few of the largest blocks, so that a segment is still mostly records.
  const std::uint64_t smallest = 4 * limits::batch_bytes_max;
  return std::min(segment_bytes, std::max(policy.bytes_max / 8, smallest));
}

}  // namespace millrace
