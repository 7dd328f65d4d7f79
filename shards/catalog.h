#pragma once
/// Streams and shards of a data directory: SQLite behind one source file (catalog.cc). It only
/// keeps what it is given; the rules of splitting and merging are in shard_lineage.h. Every change
/// is one transaction, durable when the call returns. Thread-safe.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/types.h"
#include "gpu/shard_map.h"

namespace millrace {

/// A shard, open or closed, as Kinesis describes one.
struct shard_info {
  shard_index shard{};
  uint128 hash_first = 0;
  uint128 hash_last = 0;  ///< inclusive
  std::optional<shard_index> parent{};
  std::optional<shard_index> adjacent_parent{};  ///< of a merge
  std::uint32_t created_s = 0;                   ///< later than its parents'
  std::optional<std::uint32_t> closed_s{};

  bool is_open() const { return !closed_s.has_value(); }
  friend bool operator==(const shard_info&, const shard_info&) = default;
};

/// What to do when a stream's byte retention is reached.
enum class full_policy : std::uint8_t { refuse, drop_oldest };

struct retention_policy {
  std::uint32_t hours = 24;
  std::uint64_t bytes_max = 0;  ///< 0: no bound but the disk
  full_policy when_full = full_policy::refuse;

  friend bool operator==(const retention_policy&, const retention_policy&) = default;
};

struct stream_description {
  stream_id id{};
  std::string name;
  std::uint64_t created_us = 0;
  retention_policy retention;
  std::vector<shard_info> shards;  ///< by shard index, closed ones included
  shard_index
      next_shard{};  ///< the next new shard's; never goes back, also when shards are forgotten

  /// The open shards by starting hash key. They cover the hash space: open and lineage see to it.
  shard_map open_map() const;
};

using stream_attributes = std::map<std::string, std::string>;

class catalog {
 public:
  virtual ~catalog() = default;

  /// Opens or creates the database at `path`. `corrupt` when it is not a catalog, `unsupported`
  /// when a newer Millrace wrote it.
  static result<std::unique_ptr<catalog>> open(const std::string& path);

  /// Adds a stream with an even split. `prepare` makes what must exist before the stream does (its
  /// log) and runs inside the transaction: when it fails, there is no stream. Errors:
  /// `invalid_argument`, `already_exists`, `exhausted`.
  using prepare_stream = std::function<status(const stream_description&)>;
  virtual result<stream_description> create_stream(std::string_view name, std::uint32_t shards,
                                                   const retention_policy& retention,
                                                   std::uint64_t now_us,
                                                   const prepare_stream& prepare) = 0;
  virtual status delete_stream(stream_id id) = 0;
  virtual result<std::vector<stream_description>> list() const = 0;  ///< by name
  virtual result<stream_description> describe(std::string_view name) const = 0;
  virtual status set_retention(stream_id id, const retention_policy& retention) = 0;

  /// Stores the shards of `after` that are new or were closed since the last time, and its
  /// next_shard.
  virtual status replace_shards(const stream_description& after) = 0;
  /// Forgets closed shards whose records are all gone. Never an open one.
  virtual status forget_shards(stream_id id, const std::vector<shard_index>& expired) = 0;

  /// What the layers above keep with a stream, as text by name; it goes with the stream. Stream 0
  /// stands for the data directory itself.
  virtual result<stream_attributes> attributes(stream_id id) const = 0;
  /// Sets one, or removes it without a value.
  virtual status set_attribute(stream_id id, std::string_view name,
                               std::optional<std::string_view> value) = 0;
};

/// Whether a stream may be called so: 1 to 128 of [a-zA-Z0-9_.-].
status check_stream_name(std::string_view name);
/// Whether the hours lie in Kinesis' bounds.
status check_retention(const retention_policy& retention);

}  // namespace millrace
