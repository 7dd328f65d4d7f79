#pragma once
/// Opens what a log's directory holds: which segments belong to the log, where each ends, and the
/// state that the next batch goes on from. Writes nothing but index files that were missing, and
/// not even those with `read_only`. The rules are in docs/log_format.md.
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "shards/segment.h"

namespace millrace {

struct recovered_log {
  std::vector<std::shared_ptr<segment>> segments;  ///< oldest first
  /// Segments that were being created, or had been given up, when the program ended: to be removed.
  std::vector<std::string> abandoned;
  segment_number highest{};  ///< of any file there: numbers are never used again
  log_state state;
  std::unordered_map<shard_index, record_index> horizons;  ///< shards whose oldest index is not 0
};

result<std::unique_ptr<recovered_log>> recover_log(file_system& files, const std::string& directory,
                                                   stream_id stream, bool read_only,
                                                   recovery_report& report);

/// The index of a closed segment from the segment itself. `note` gets every damage met; what could
/// not be read makes the index incomplete.
result<std::shared_ptr<memory_index>> rebuild_index(file_system& files, const segment& one,
                                                    const std::function<void(const damage&)>& note);

/// Writes the index file of a closed segment from its index in memory, and opens it. An incomplete
/// one is not written: what it lacks would be hidden for good.
result<std::shared_ptr<const disk_index>> write_index(file_system& files, const segment& one);

}  // namespace millrace
