#pragma once
/// The whole path in this process, fed from memory: replayed datagrams → door → pipeline → log.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/bench_context.h"
#include "base/arena.h"
#include "ingest/cookie.h"
#include "ingest/door.h"
#include "ingest/memory_source.h"
#include "shards/pipeline.h"

namespace millrace {

struct path_setup {
  std::uint32_t shards = 4;
  std::uint32_t data_bytes = 100;
  std::uint32_t keys = 100'000;
  std::uint64_t load_bytes = 8 * limits::mib;  ///< of different datagrams, replayed
  /// The data of record i, instead of `data_bytes` letters.
  std::function<std::string(std::uint32_t)> data_of{};
  double records_per_s = 0;  ///< 0: as many as go
  bool discard = true;       ///< the blocks go nowhere; else they become durable in `directory`
  std::string directory{};   ///< for the catalog, and the log when it is kept
  std::uint64_t segment_bytes = limits::segment_bytes_default;
};

/// What happened between two moments.
struct path_rates {
  double records_per_s = 0;
  double record_bytes_per_s = 0;  ///< as stored, record headers included
  double block_bytes_per_s = 0;   ///< with framing and padding
  double records_per_core_s = 0;  ///< by CPU time of all threads
  double data_bytes_per_core_s = 0;
  double framing = 0;  ///< block bytes for each byte of partition key and data
};

/// DATA payloads of records with `data_bytes` of data, or what `data_of` says, and keys "key-N", up
/// to `load_bytes`.
std::vector<std::vector<std::byte>> make_payloads(
    std::uint32_t data_bytes, std::uint32_t keys, std::uint64_t load_bytes,
    std::uint32_t payload_bytes_max, const std::function<std::string(std::uint32_t)>& data_of = {});

/// One stream "bench" behind one door. With `threads`, door and pipeline run on their own; else
/// run_for() drives both on the caller's thread.
class memory_path {
 public:
  static result<std::unique_ptr<memory_path>> create(const path_setup& setup, bool threads);
  ~memory_path();

  result<path_rates> run_for(double seconds);
  /// The door ends; what it handed on becomes durable.
  void stop_load();
  pipeline& streams() { return *pipeline_; }
  const replay_source& load() const { return *source_; }
  std::uint64_t arena_bytes() const { return memory_->bytes(); }

 private:
  memory_path() = default;
  path_setup setup_;
  bool threads_ = false;
  double key_and_data_bytes_ = 0;  // of one record, on average
  std::optional<arena> memory_;
  cookie_maker cookies_;
  std::unique_ptr<pipeline> pipeline_;
  std::unique_ptr<door> door_;
  replay_source* source_ = nullptr;  // the door's
};

}  // namespace millrace
