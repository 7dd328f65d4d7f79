#pragma once
/// A segment file: its name, its header, and the snapshot of the log's state at its start.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "shards/file.h"
#include "shards/log_format.h"
#include "shards/producer_table.h"
#include "shards/segment_index.h"
#include "shards/stream_log.h"

namespace millrace {

/// What a log knows of one of its segments. Shared with readers; what changes while it is the
/// newest one is guarded by the log's mutex.
struct segment {
  segment_number number{};
  std::string path;
  std::uint64_t incarnation = 0;
  segment_number predecessor{};  ///< 0: none
  std::uint64_t predecessor_end = 0;
  std::uint64_t data_start = 0;
  std::uint64_t end = 0;  ///< of its blocks: durable ones while it is open
  std::uint64_t block_count = 0;
  std::uint64_t oldest_us = 0;  ///< arrival of its first and last block; 0 without blocks
  std::uint64_t newest_us = 0;
  /// One of the two: in memory while it is open or its index file could not be written.
  std::shared_ptr<memory_index> memory;
  std::shared_ptr<const disk_index> disk;
};

std::string segment_path(const std::string& directory, segment_number number);
std::string index_path(const std::string& segment_path);
/// The number in the name of a segment file.
std::optional<segment_number> parse_segment_name(const std::string& name);

/// State of a log between two blocks.
struct log_state {
  explicit log_state(std::size_t producers_max = limits::producers_max)
      : producers(producers_max) {}
  producer_table producers;
  std::unordered_map<shard_index, record_index> next;
  std::uint64_t arrival_us = 0;
};

/// The snapshot's bytes, padded.
std::vector<std::byte> encode_snapshot(const log_state& state, std::uint64_t incarnation);

/// Reads the snapshot of a segment into `state`; `corrupt` when it is damaged.
status read_snapshot(const file& from, std::uint64_t incarnation, std::uint64_t data_start,
                     log_state& state);

/// The header page, both copies.
std::vector<std::byte> encode_segment_header(const segment& one, stream_id stream,
                                             std::uint64_t created_us);

struct found_header {
  log_format::segment_header header;
  bool one_copy_damaged = false;
};
/// Either good copy; `corrupt` when there is none, `io` when it cannot be read.
result<found_header> read_segment_header(const file& from, stream_id stream, segment_number number);

}  // namespace millrace
