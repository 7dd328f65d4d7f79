#pragma once
/// The shard maps that a device knows: sent once, found again by shard_map::id().
#include <cstdint>
#include <vector>

#include "gpu/cuda_memory.cuh"
#include "gpu/shard_map.h"

namespace millrace {

class cuda_map_cache {
 public:
  /// One map's place. `users` jobs in flight read it.
  struct entry {
    std::uint64_t map_id = 0;
    std::uint64_t last_used = 0;
    std::uint32_t users = 0;
    hash_ranges ranges{};
    device_memory memory;
    cuda_event arrived;
  };

  /// More maps than `count` are sent again when they come up; `count` is at least the jobs in
  /// flight plus one.
  static result<cuda_map_cache> create(int device, std::uint32_t count);
  /// What a slot's pinned memory must hold for acquire().
  static std::size_t staging_bytes();

  /// The map's place, with one user more. `stream` may read it from here on; if it has to be sent,
  /// it goes through `staging`, which stays untouched until the stream has passed.
  result<entry*> acquire(const shard_map& map, std::byte* staging, cudaStream_t stream);
  void release(entry* one) { --one->users; }

 private:
  std::vector<entry> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace millrace
