#pragma once
/// Reads a stream's records for HTTP readers: where each shard stands is a cursor that travels with
/// the reader, so that the server keeps nothing between requests.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "shards/catalog.h"
#include "shards/shard_lineage.h"
#include "shards/stream_log.h"

namespace millrace {

/// Next index of each shard. A shard that is not in it starts at its oldest record: it came into
/// being after the cursor was made.
struct read_cursor {
  std::map<shard_index, record_index> next;
  bool one_shard = false;  ///< read no shard but those in `next`

  /// "0:17,3:0", with "=" before it for one shard.
  std::string to_text() const;
  static result<read_cursor> parse(std::string_view text);
};

/// A cursor from "trim-horizon", "latest", a sequence number (its record is the first read; only
/// its shard is read), or a time: Unix seconds with or without decimals, or 2026-01-31T12:00:00Z.
result<read_cursor> cursor_from(std::string_view from, std::optional<shard_index> shard,
                                const stream_description& stream, const stream_log& log);

struct read_limits {
  std::uint32_t records = 1000;
  std::uint64_t bytes = 4 * 1024 * 1024;  ///< of records; one larger record is read alone
};

/// Records as NDJSON and the cursor after them. In each shard in order, and a child shard only
/// after its parents, so that the records of a key stay in order.
struct read_page {
  std::string lines;
  std::uint32_t records = 0;
  read_cursor cursor;
  bool caught_up = false;  ///< nothing more was durable
};
result<read_page> read_records(const stream_description& stream, const stream_log& log,
                               const read_cursor& from, const read_limits& limits);

/// Appends one record as members of a JSON object: "sequence":…,"arrival_us":…,"key":…,"data":… (or
/// "data_base64"). False, and nothing appended, when the log has it no longer.
bool append_record_members(std::string& out, const stream_description& stream,
                           const stream_log& log, shard_index shard, record_index index);

/// "shardId-000000000003" or "3".
result<shard_index> parse_shard_name(std::string_view text);

}  // namespace millrace
