#pragma once
/// The pipeline: takes batches from every door, orders them per stream, routes them on the compute
/// backend, has the stream's log make them durable, and hands them back. Also where streams are
/// created, resharded and deleted, between two batches, so that no record sees half a change.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/counters.h"
#include "base/record_batch.h"
#include "gpu/backend.h"
#include "shards/catalog.h"
#include "shards/stream_log.h"

namespace millrace {

struct pipeline_options {
  std::string data_directory;
  std::string backend = "auto";
  log_options log;
  flush_engine engine = flush_engine::automatic;
  std::uint32_t batches_max = 64;  ///< waiting for the pipeline, over all doors
  bool busy_poll = false;
};

/// Progress of start-up, for the command to show.
struct recovered_stream {
  std::string name;
  recovery_report report;
};

/// What readers and administrators see of a stream.
struct stream_status {
  stream_description description;
  std::uint64_t log_bytes = 0;
  std::vector<std::uint64_t> shard_records;  ///< durable records per description.shards entry, ever
  std::vector<std::uint64_t> shard_bytes;    ///< record bytes since start
  std::string blocked;                       ///< empty, or why the log cannot be written now
};

class pipeline : public batch_sink {
 public:
  /// Locks the data directory (flock), opens the catalog, recovers every stream.
  static result<std::unique_ptr<pipeline>> open(const pipeline_options& options,
                                                std::vector<recovered_stream>& recovered);

  /// Starts the agent's thread; stop() lets what was submitted end first. Tests call do_work() instead.
  virtual void start() = 0;
  virtual void stop() = 0;
  virtual int do_work() = 0;

  // Streams. Thread-safe; each returns when the change is durable.
  virtual result<stream_description> create_stream(const std::string& name, std::uint32_t shards,
                                                   const retention_policy& retention) = 0;
  virtual status delete_stream(const std::string& name) = 0;
  virtual status split(const std::string& name, shard_index shard, uint128 new_start) = 0;
  virtual status merge(const std::string& name, shard_index shard, shard_index adjacent) = 0;
  virtual status reshard(const std::string& name, std::uint32_t shards) = 0;
  virtual status set_retention(const std::string& name, const retention_policy& retention) = 0;
  virtual result<std::vector<stream_status>> list() = 0;
  virtual result<stream_status> describe(const std::string& name) = 0;

  /// For readers; the log lives as long as the pointer, also when the stream is deleted meanwhile.
  virtual result<std::shared_ptr<const stream_log>> log_of(const std::string& name) = 0;

  virtual const counter_set& counters() const = 0;
  virtual std::string describe_backend() const = 0;
};

}  // namespace millrace
