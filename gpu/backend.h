#pragma once
/// The contract of a compute backend: what is done to a batch of records between arrival and log.
/// Two implementations: the CPU (cpu_backend.h), and CUDA in a later step; they give the same
/// answers bit for bit. Submit and poll: nothing here blocks, nothing allocates after create.
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/record_batch.h"
#include "gpu/shard_map.h"

namespace millrace {

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
};

/// One thread.
class backend {
 public:
  virtual ~backend() = default;

  /// Starts routing. False: as many jobs as it can hold are in flight; poll one first.
  [[nodiscard]] virtual bool submit(route_job& job) = 0;
  /// True once, when the job is done and its outputs are filled in.
  [[nodiscard]] virtual bool poll(route_job& job) = 0;

  /// "cpu (avx512)": for logs and doctor.
  virtual std::string describe() const = 0;
};

/// `choice`: "auto", "cpu" or "cuda". "auto" takes the best that this machine has; "cuda" where
/// there is none is an `unsupported` error.
result<std::unique_ptr<backend>> make_backend(std::string_view choice);

}  // namespace millrace
