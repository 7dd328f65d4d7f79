#pragma once
/// `millrace tail`: prints the records of a stream, and goes on as new ones become durable; or the
/// windows of a view, and goes on as more of them close.
#include <cstdint>
#include <string>

#include "app/stream_command.h"
#include "base/error.h"

namespace millrace {

struct tail_options {
  admin_options admin;
  std::string stream;                 ///< this or
  std::string view;                   ///< this
  std::string shard;                  ///< "shardId-000000000003" or "3"; empty: all
  std::string from = "trim-horizon";  ///< trim-horizon, latest, and of a stream a sequence number
                                      ///< or a time, of a view an ordinal
  std::string format;                 ///< json (of a stream the default): an object a line; raw
                                      ///< (streams): the data, a line each; table (views)
  std::uint64_t limit = 0;            ///< stop after so many are printed; 0: no limit
  bool deaggregate = false;           ///< streams: the records in those of the KPL, one by one
  bool follow = true;                 ///< wait for more at the end
};

/// Prints to standard output until the limit, the end (without follow) or a signal; returns the
/// exit code.
int run_tail(const tail_options& options);

/// The part of it that is about views.
status tail_view(const tail_options& options);

}  // namespace millrace
