#include <algorithm>
#include <cstring>

#include "base/limits.h"
#include "gpu/cuda_map_cache.cuh"

namespace millrace {
namespace {

constexpr std::size_t starts_bytes_max = sizeof(uint128) * limits::open_shards_max;
constexpr std::size_t buckets_bytes_max = sizeof(std::uint16_t) * ((1u << 16) + 1);

}  // namespace

std::size_t cuda_map_cache::staging_bytes() {
  return align_up(starts_bytes_max, 256) + align_up(buckets_bytes_max, 256);
}

result<cuda_map_cache> cuda_map_cache::create(int device, std::uint32_t count) {
  cuda_map_cache cache;
  cache.entries_.resize(count);
  for (entry& one : cache.entries_) {
    MILLRACE_ASSIGN(one.memory, allocate_device(staging_bytes(), device, "a shard map"));
    MILLRACE_ASSIGN(one.arrived, make_event(device));
  }
  return std::move(cache);
}

result<cuda_map_cache::entry*> cuda_map_cache::acquire(const shard_map& map, std::byte* staging,
                                                       cudaStream_t stream) {
  ++clock_;
  const auto known = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const entry& one) { return one.map_id == map.id(); });
  if (known != entries_.end()) {
    // It may still be on its way, on another stream.
    MILLRACE_CUDA_TRY(cudaStreamWaitEvent(stream, known->arrived.get(), 0));
    known->last_used = clock_;
    ++known->users;
    return &*known;
  }
  entry* oldest = nullptr;
  for (entry& one : entries_) {
    if (one.users == 0 && (oldest == nullptr || one.last_used < oldest->last_used)) oldest = &one;
  }
  MILLRACE_CHECK(oldest != nullptr, "more shard maps in use than jobs in flight");
  oldest->map_id = 0;
  const hash_ranges host = map.ranges();
  const std::size_t starts_bytes = sizeof(uint128) * map.size();
  const std::size_t buckets_at = align_up(starts_bytes, 256);
  const std::size_t buckets_bytes = sizeof(std::uint16_t) * map.bucket_first().size();
  std::memcpy(staging, host.starts, starts_bytes);
  std::memcpy(staging + buckets_at, host.bucket_first, buckets_bytes);
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(oldest->memory.data(), staging, buckets_at + buckets_bytes,
                                    cudaMemcpyHostToDevice, stream));
  MILLRACE_CUDA_TRY(cudaEventRecord(oldest->arrived.get(), stream));
  oldest->ranges = {.starts = oldest->memory.as<const uint128>(),
                    .bucket_first = oldest->memory.as<const std::uint16_t>(buckets_at),
                    .bucket_bits = host.bucket_bits,
                    .search_steps = host.search_steps};
  oldest->map_id = map.id();
  oldest->last_used = clock_;
  ++oldest->users;
  return oldest;
}

}  // namespace millrace
