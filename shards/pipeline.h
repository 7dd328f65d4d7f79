#pragma once
/// The pipeline: takes batches from every door, orders them per stream, routes them on the compute
/// backend, has the stream's log make them durable, and hands them back. Also where streams are
/// created, resharded and deleted, between two batches, so that no record sees half a change.
///
/// A data directory: `millrace.lock` (one process), `catalog.db` (streams and shards) and
/// `streams/<id>/` (one log each).
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/record_batch.h"
#include "gpu/backend.h"
#include "ingest/result_lookup.h"
#include "shards/catalog.h"
#include "shards/stream_log.h"

namespace millrace {

struct pipeline_options {
  std::string data_directory;
  std::string backend = "auto";             ///< auto: a device only where there are folded_streams
  std::vector<std::string> folded_streams;  ///< with views: their batches stay on their device
  byte_view record_memory;                  ///< where doors keep records; outlives the pipeline
  log_options log;
  flush_engine engine = flush_engine::automatic;
  std::uint32_t batches_max = 64;  ///< waiting for one stream, over all doors
  bool busy_poll = false;          ///< never sleep: lower latency for a whole core
  /// stop() waits this long for a log that makes no progress, then gives its batches back undone.
  std::uint64_t stop_patience_us = 5'000'000;

  // What tests shorten or replace.
  std::shared_ptr<file_system> files;  ///< null: the operating system's
  std::uint64_t retention_hour_us = 3'600'000'000;
  std::uint64_t tend_interval_us = 1'000'000;  ///< between two looks at retention
};

/// What start-up found in a stream's log, for the command to show.
struct recovered_stream {
  std::string name;
  recovery_report report;
};

/// What readers and administrators see of a stream.
struct stream_status {
  stream_description description;
  std::uint64_t log_bytes = 0;
  std::vector<std::uint64_t> shard_records;  ///< durable records per description.shards entry, ever
  std::vector<std::uint64_t> shard_bytes;    ///< record bytes appended since start, likewise
  std::string blocked;                       ///< empty, or why the log cannot be written now
};

/// What reading needs: as of now, and alive as long as it is held.
struct stream_handle {
  std::shared_ptr<const stream_description> description;
  std::shared_ptr<const stream_log> log;
};

class pipeline : public batch_sink {
 public:
  /// Locks the data directory, opens the catalog, recovers every stream, removes what a crash left
  /// of deleted ones. `unavailable` names the process that has the directory.
  static result<std::unique_ptr<pipeline>> open(const pipeline_options& options,
                                                std::vector<recovered_stream>& recovered);

  /// Starts the agent's thread. Tests call do_work() instead, all calls then on one thread.
  virtual void start() = 0;
  /// From now on batches come back with outcome shutting_down; what was submitted before is made
  /// durable, as far as the disk allows; the thread ends. For good.
  virtual void stop() = 0;
  /// One round over all streams; returns how much it did.
  virtual int do_work() = 0;

  // Streams. Thread-safe; each returns when the change is durable. A stream that cannot be written
  // now cannot be split, merged or resharded either (`unavailable`), but it can be deleted.
  virtual result<stream_description> create_stream(const std::string& name, std::uint32_t shards,
                                                   const retention_policy& retention) = 0;
  virtual status delete_stream(const std::string& name) = 0;
  virtual status split(const std::string& name, shard_index shard, uint128 new_start) = 0;
  virtual status merge(const std::string& name, shard_index shard, shard_index adjacent) = 0;
  virtual status reshard(const std::string& name, std::uint32_t shards) = 0;
  virtual status set_retention(const std::string& name, const retention_policy& retention) = 0;
  /// From now on the stream's blocks are encrypted under this key of log_options::keyring; 0: not.
  /// Kept. `permission` when the key cannot be used, and then nothing changes.
  virtual status set_encryption(const std::string& name, std::uint32_t key_id) = 0;
  virtual const log_keyring* keyring() const = 0;         ///< null: there is none
  virtual result<std::vector<stream_status>> list() = 0;  ///< by name
  virtual result<stream_status> describe(const std::string& name) = 0;

  /// See catalog::attributes(). A stream that is gone has none, and `not_found` to set.
  virtual result<stream_attributes> attributes(stream_id id) = 0;
  virtual status set_attribute(stream_id id, std::string_view name,
                               std::optional<std::string_view> value) = 0;

  /// For readers; the log lives as long as the pointer, also when the stream is deleted meanwhile.
  virtual result<std::shared_ptr<const stream_log>> log_of(const std::string& name) = 0;
  /// The same with the description, which is not copied.
  virtual result<stream_handle> open_stream(std::string_view name) = 0;
  virtual result<stream_handle> open_stream(stream_id id) = 0;

  /// For doors: where the records of an earlier session went. Lives as long as the pipeline, and
  /// is silent once stop() has returned: doors may go before the pipeline does.
  virtual result_lookup& results() = 0;

  virtual const counter_set& counters() const = 0;
  virtual std::string describe_backend() const = 0;
  virtual backend_health health_of_backend() const = 0;
};

}  // namespace millrace
