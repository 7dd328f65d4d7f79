#pragma once
/// The admin port's JSON: what streams look like, and what requests may say.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "shards/pipeline.h"

namespace millrace {

std::string stream_json(const stream_status& stream);
std::string streams_json(const std::vector<stream_status>& streams);
/// {"error":{"code":…,"message":…}}
std::string error_json(const error& failure);
/// The error that such a body names; `status` when it is none.
error parse_error_json(std::string_view body, unsigned status);

/// What a client prints of a stream, out of stream_json() or streams_json().
struct shard_summary {
  std::string shard;
  bool open = true;
  std::string hash_first;
  std::string hash_last;
  std::string parents;  ///< "shardId-…", two with a comma, or empty
  std::uint64_t records = 0;
};
struct stream_summary {
  std::string name;
  std::uint64_t open_shards = 0;
  std::uint64_t records = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t retention_hours = 0;
  std::uint64_t retention_bytes = 0;
  std::string when_full;
  std::string blocked;
  std::vector<shard_summary> shards;
};
result<std::vector<stream_summary>> parse_streams(std::string_view body);

/// What a request's body may hold; which of it is needed is the action's business. Unknown keys are
/// errors that name them.
struct stream_request {
  std::optional<std::string> name;
  std::optional<std::uint64_t> shards;
  std::optional<std::string> shard;
  std::optional<std::string> with;
  std::optional<std::string> at;  ///< decimal hash key
  std::optional<std::uint64_t> retention_hours;
  std::optional<std::uint64_t> retention_bytes;
  std::optional<std::string> when_full;  ///< refuse or drop-oldest
};
result<stream_request> parse_stream_request(std::string_view body);
std::string to_json(const stream_request& request);

/// `base` with what the request changes of it.
result<retention_policy> retention_of(const stream_request& request, retention_policy base);

/// A decimal hash key of 128 bits.
result<uint128> parse_hash_key(std::string_view text);
std::string hash_key_text(uint128 value);

}  // namespace millrace
