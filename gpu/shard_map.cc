#include "gpu/shard_map.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <string>
#include <utility>

#include "base/limits.h"

namespace millrace {
namespace {

/// About four buckets a range: in an even split three of four hash keys need no search.
std::uint32_t choose_bucket_bits(std::size_t ranges) {
  const int bits = std::bit_width(ranges - 1) + 2;
  return static_cast<std::uint32_t>(std::clamp(bits, 8, 16));
}

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

error invalid(std::string message) {
  return {error_code::invalid_argument, "shard map: " + std::move(message)};
}

}  // namespace

shard_map::shard_map(std::vector<uint128> starts, std::vector<shard_index> shards)
    : id_(next_id()),
      starts_(std::move(starts)),
      shards_(std::move(shards)),
      bucket_bits_(choose_bucket_bits(starts_.size())) {
  const std::uint32_t buckets = 1u << bucket_bits_;
  bucket_first_.resize(buckets + 1);
  std::uint16_t range = 0;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    const uint128 first_point = static_cast<uint128>(bucket) << (128 - bucket_bits_);
    while (range + 1u < starts_.size() && starts_[range + 1u] <= first_point)
      ++range;
    bucket_first_[bucket] = range;
  }
  bucket_first_[buckets] = static_cast<std::uint16_t>(starts_.size() - 1);
  std::uint32_t widest = 0;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    widest = std::max<std::uint32_t>(widest, bucket_first_[bucket + 1] - bucket_first_[bucket]);
  }
  search_steps_ = static_cast<std::uint32_t>(std::bit_width(widest));
}

result<shard_map> shard_map::create(std::vector<uint128> starts, std::vector<shard_index> shards) {
  if (starts.size() != shards.size()) {
    return invalid(std::to_string(starts.size()) + " starting hash keys for " +
                   std::to_string(shards.size()) + " shards");
  }
  if (starts.empty()) return invalid("no shards");
  if (starts.size() > limits::open_shards_max) {
    return invalid(std::to_string(starts.size()) + " open shards are over the limit of " +
                   std::to_string(limits::open_shards_max));
  }
  if (starts[0] != 0) return invalid("the first range does not start at 0");
  for (std::size_t i = 1; i < starts.size(); ++i) {
    if (starts[i] <= starts[i - 1]) {
      return invalid("range " + std::to_string(i) + " does not start after the one before it");
    }
  }
  return shard_map(std::move(starts), std::move(shards));
}

shard_map shard_map::even(std::uint32_t count) {
  MILLRACE_CHECK(count >= 1 && count <= limits::open_shards_max, "shards of an even split");
  std::vector<uint128> starts(count);
  std::vector<shard_index> shards(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    starts[i] = even_shard_start(i, count);
    shards[i] = shard_index(i);
  }
  return {std::move(starts), std::move(shards)};
}

shard_ordinal shard_map::find(uint128 hash_key) const {
  return shard_ordinal(static_cast<std::uint16_t>(find_range(ranges(), hash_key)));
}

uint128 even_shard_start(std::uint32_t i, std::uint32_t count) {
  // floor(2^128 / count) from floor((2^128 - 1) / count): they differ only where count divides
  // 2^128.
  uint128 width = uint128_max / count;
  if (uint128_max % count == count - 1) ++width;
  return width * i;
}

}  // namespace millrace
