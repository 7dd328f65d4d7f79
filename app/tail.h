#pragma once
/// `millrace tail`: prints the records of a stream, and goes on as new ones become durable.
#include <cstdint>
#include <string>

#include "app/stream_command.h"

namespace millrace {

struct tail_options {
  admin_options admin;
  std::string stream;
  std::string shard;                  ///< "shardId-000000000003" or "3"; empty: all
  std::string from = "trim-horizon";  ///< trim-horizon, latest, a sequence number or a time
  std::string format = "json";        ///< json: an object a line; raw: the data, a line each
  std::uint64_t limit = 0;            ///< stop after so many; 0: no limit
  bool follow = true;                 ///< wait for more at the end
};

/// Prints to standard output until the limit, the end (without follow) or a signal; returns the
/// exit code.
int run_tail(const tail_options& options);

}  // namespace millrace
