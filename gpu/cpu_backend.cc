#include "gpu/cpu_backend.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

/// Records routed at a time, so that keys and hash keys stay in the first-level cache: a multiple
/// of what the vectors of any level take at once (24, 32 or 48 keys).
constexpr std::size_t chunk_records = 288;

}  // namespace

cpu_backend::cpu_backend(simd_level level)
    : level_(level), keys_(chunk_records), hash_keys_(chunk_records) {}

bool cpu_backend::submit(route_job& job) {
  if (done_ != nullptr) return false;
  const std::size_t count = job.records.size();
  MILLRACE_CHECK(job.map != nullptr, "a job without a shard map");
  MILLRACE_CHECK(job.shard.size() == count && job.rank.size() == count, "outputs per record");
  MILLRACE_CHECK(
      job.shard_records.size() == job.map->size() && job.shard_bytes.size() == job.map->size(),
      "outputs per shard");
  std::ranges::fill(job.shard_records, 0u);
  std::ranges::fill(job.shard_bytes, 0u);
  for (std::size_t from = 0; from < count; from += chunk_records) {
    route(job, from, std::min(chunk_records, count - from));
  }
  done_ = &job;
  return true;
}

void cpu_backend::route(const route_job& job, std::size_t from, std::size_t count) {
  const record_ref* const records = job.records.data() + from;
  std::size_t keys = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const record_ref& record = records[i];
    if ((record.flags & record_has_hash_key) != 0) [[unlikely]] {
      hash_keys_[i] = record.view().hash_key();
      continue;
    }
    const std::byte* const key = record.bytes + sizeof(record_header);
    keys_[keys++] = {.bytes = key, .count = record.key_bytes, .slot = i};
  }
  md5_lanes(level_, {keys_.data(), keys}, hash_keys_.data());

  const hash_ranges ranges = job.map->ranges();
  const std::size_t last = job.records.size() - from - 1;
  for (std::size_t i = 0; i < count; ++i) {
    // The next chunk's keys arrive while this one's are looked up.
    __builtin_prefetch(records[std::min(i + chunk_records, last)].bytes + sizeof(record_header));
    const std::uint32_t shard = find_range(ranges, hash_keys_[i]);
    job.shard[from + i] = static_cast<std::uint16_t>(shard);
    job.rank[from + i] = job.shard_records[shard]++;
    job.shard_bytes[shard] += records[i].stride;
  }
}

bool cpu_backend::poll(route_job& job) {
  if (done_ != &job) return false;
  done_ = nullptr;
  return true;
}

std::string cpu_backend::describe() const {
  return "cpu (" + std::string(to_string(level_)) + ")";
}

}  // namespace millrace
