#pragma once
/// The contract of a compute backend: what is done to a batch of records between arrival and log.
/// Two implementations, the CPU (cpu_backend.h) and CUDA (cuda_backend.h), which give the same
/// answers bit for bit. Submit and poll: nothing here blocks, nothing allocates after create.
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/record_batch.h"
#include "gpu/shard_map.h"

namespace millrace {

/// What a device keeps of a batch that it routed: the records and where each went. Only the fold of
/// the same device looks into it; whoever holds it keeps it there.
class device_batch;

/// The records of a routed batch by shard, in the host's memory, where a device has put them.
struct shard_runs {
  byte_view bytes;  ///< by ordinal of the map, shard_bytes each, in batch order
  std::span<const std::uint32_t> crc32c;  ///< an ordinal: of its run; 0 of an empty one
};

/// One batch to route. The caller owns everything and leaves it alone from submit() until poll()
/// has said true.
struct route_job {
  std::span<const record_ref> records;
  const shard_map* map = nullptr;

  /// Outputs. Per record: the ordinal in `map` of the range that holds its hash key (the MD5 of its
  /// partition key as a big-endian number, or its explicit hash key), and its rank among the
  /// records of that shard, in batch order: (shard, rank) is a stable partition.
  std::span<std::uint16_t> shard;  ///< records.size()
  std::span<std::uint32_t> rank;   ///< records.size()
  /// Per ordinal of the map: how many records and how many bytes (strides).
  std::span<std::uint32_t> shard_records;  ///< map->size()
  std::span<std::uint64_t> shard_bytes;    ///< map->size()

  /// Asks for the device's copy of the batch, to fold it later without sending it again. The answer
  /// may be null: on the CPU, or when as many are kept as there is room for.
  bool keep = false;
  std::shared_ptr<const device_batch> kept{};

  /// Asks for the shards' runs too; their memory is the holder's until it lets go. The answer may
  /// be null: on the CPU, without cuda_options::gathered_batches, or when as many are held.
  bool gather = false;
  std::shared_ptr<const shard_runs> gathered{};
};

/// How a backend fares; a fault never stops it, its work goes to the CPU then.
struct backend_health {
  std::string fault;                ///< what is wrong with a device now; empty: nothing
  std::uint64_t faults = 0;         ///< errors of devices so far
  std::uint64_t batches_moved = 0;  ///< batches that the CPU took over from a device
};

/// One thread, but for describe() and health(): any.
class backend {
 public:
  virtual ~backend() = default;

  /// Starts routing. False: as many jobs as it can hold are in flight; poll one first.
  [[nodiscard]] virtual bool submit(route_job& job) = 0;
  /// True once, when the job is done and its outputs are filled in.
  [[nodiscard]] virtual bool poll(route_job& job) = 0;

  /// "cpu (avx512)": for logs and doctor.
  virtual std::string describe() const = 0;
  virtual backend_health health() const { return {}; }
};

/// `choice`: "auto", "cpu" or "cuda". "auto" takes the best that this machine has, and describe()
/// says why it is the CPU; "cuda" where there is none is an `unsupported` error. `record_memory`:
/// where records lie, which outlives the backend; a device may register it.
result<std::unique_ptr<backend>> make_backend(std::string_view choice,
                                              byte_view record_memory = {});

}  // namespace millrace
