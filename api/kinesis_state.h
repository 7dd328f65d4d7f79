#pragma once
/// What Kinesis knows of a stream beyond the catalog's rows, and keeps with it in the catalog.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/kinesis_error.h"
#include "base/ids.h"
#include "shards/pipeline.h"

namespace millrace {

using tag_map = std::map<std::string, std::string>;

struct kinesis_consumer {
  std::string name;
  std::uint64_t created_us = 0;  ///< its second is part of the ARN
  tag_map tags;
  std::string policy;
};

struct kinesis_stream {
  bool on_demand = false;
  tag_map tags;
  std::vector<kinesis_consumer> consumers;  ///< by name
  std::string policy;
  std::string key_id;             ///< of the encryption at rest; empty: none
  std::set<std::string> metrics;  ///< shard-level ones that were asked for
  std::uint32_t record_kib_max = 1024;
  std::uint32_t warm_mib = 0;

  const kinesis_consumer* find_consumer(std::string_view name) const;
};

enum class stream_state : std::uint8_t { active, creating, updating, deleting };
std::string_view to_string(stream_state state);

/// Keeps every stream's document in memory and in the catalog. Thread-safe.
class kinesis_registry {
 public:
  explicit kinesis_registry(pipeline& streams) : streams_(streams) {}

  /// Reads what is stored; before anything else.
  status load();

  /// A stream's document as it is now; a new one when nothing is stored.
  std::shared_ptr<const kinesis_stream> get(stream_id id) const;
  /// Changes it: `change` works on a copy, which is stored when it has no objection. One at a time.
  kinesis_outcome change(stream_id id,
                         const std::function<kinesis_outcome(kinesis_stream&)>& change);
  /// The stream is gone.
  void forget(stream_id id);

  /// States between ACTIVE and ACTIVE are for show: the change itself has been made. They end by
  /// themselves and are not stored.
  void set_state(stream_id id, stream_state state, std::uint64_t until_us);
  stream_state state(stream_id id, std::uint64_t now_us) const;
  /// Streams that are shown so.
  std::size_t count(stream_state state, std::uint64_t now_us) const;

 private:
  struct entry {
    std::shared_ptr<const kinesis_stream> document = std::make_shared<kinesis_stream>();
    stream_state state = stream_state::active;
    std::uint64_t until_us = 0;
  };

  pipeline& streams_;
  mutable std::shared_mutex mutex_;
  std::mutex change_mutex_;
  std::unordered_map<stream_id, entry> entries_;
};

}  // namespace millrace
