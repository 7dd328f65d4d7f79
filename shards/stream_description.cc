#include <algorithm>

#include "base/limits.h"
#include "shards/catalog.h"

namespace millrace {

shard_map stream_description::open_map() const {
  std::vector<const shard_info*> open;
  for (const shard_info& shard : shards) {
    if (shard.is_open()) open.push_back(&shard);
  }
  std::sort(open.begin(), open.end(),
            [](const shard_info* a, const shard_info* b) { return a->hash_first < b->hash_first; });
  std::vector<uint128> starts;
  std::vector<shard_index> indexes;
  for (const shard_info* shard : open) {
    starts.push_back(shard->hash_first);
    indexes.push_back(shard->shard);
  }
  auto made = shard_map::create(std::move(starts), std::move(indexes));
  MILLRACE_CHECK(made.ok(), "the open shards of a stream cover the hash space");
  return std::move(*made);
}

status check_stream_name(std::string_view name) {
  const bool known_characters = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  if (!name.empty() && name.size() <= limits::stream_name_chars_max && known_characters) return {};
  return error(error_code::invalid_argument,
               "stream name '" + std::string(name.substr(0, 2 * limits::stream_name_chars_max)) +
                   "': 1 to " + std::to_string(limits::stream_name_chars_max) +
                   " characters of a-z, A-Z, 0-9, '_', '.' and '-' are allowed");
}

status check_retention(const retention_policy& retention) {
  if (retention.hours < limits::retention_hours_min ||
      retention.hours > limits::retention_hours_max) {
    return error(error_code::invalid_argument,
                 "retention of " + std::to_string(retention.hours) + " hours; " +
                     std::to_string(limits::retention_hours_min) + " to " +
                     std::to_string(limits::retention_hours_max) + " are allowed");
  }
  return {};
}

}  // namespace millrace
