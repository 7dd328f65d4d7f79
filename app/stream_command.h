#pragma once
/// `millrace stream`: creates, lists, describes, reshapes and deletes streams through the admin
/// port of a running server.
#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/types.h"

namespace millrace {

/// How the clients of the admin port find it, and prove that they may write.
struct admin_options {
  std::string admin = "127.0.0.1:9644";
  std::string data = "./millrace-data";  ///< whose admin.token is used for writes
  std::string token;                     ///< the token itself, instead
};

enum class stream_action : std::uint8_t {
  create,
  list,
  describe,
  split,
  merge,
  reshard,
  retention,
  remove,
};

struct stream_options {
  admin_options admin;
  stream_action action = stream_action::list;
  std::string name;
  std::uint32_t shards = 0;  ///< create, reshard
  std::string shard;         ///< split, merge: "shardId-000000000003" or "3"
  std::string adjacent;      ///< merge: the other one
  std::string at;            ///< split: first hash key of the upper half; empty: the middle
  std::optional<std::uint64_t> retention_hours;  ///< create, retention
  std::optional<std::string> retention_bytes;    ///< create, retention: "10GiB"; 0: no bound
  std::optional<std::string> when_full;          ///< create, retention: refuse or drop-oldest
  bool json = false;                             ///< print what the server answered
};

/// Prints the outcome; returns the exit code.
int run_stream(const stream_options& options);

}  // namespace millrace
