#include "gpu/md5_lanes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "gpu/md5.h"

namespace millrace {
namespace {

/// Keys sorted at a time; they stay in the first-level cache.
constexpr std::size_t sort_keys_max = 768;
/// Short keys, then one class a block count. Longer keys than a partition key can be share the
/// last.
constexpr std::uint32_t classes = 32;

std::uint32_t key_class(const md5_key& key) {
  if (key.count <= md5_detail::short_key_bytes_max) return 0;
  return std::min(md5_blocks(key.count), classes - 1);
}

using hash_function = void (*)(const md5_key* keys, std::size_t count, uint128* out);

/// Sorts by class, and hashes.
void hash_mixed(hash_function hash, std::span<const md5_key> keys, uint128* out) {
  std::array<std::uint32_t, classes> next{};
  for (const md5_key& key : keys)
    ++next[key_class(key)];
  std::uint32_t start = 0;
  for (std::uint32_t& one : next)
    start += std::exchange(one, start);
  std::array<md5_key, sort_keys_max> sorted;
  for (const md5_key& key : keys)
    sorted[next[key_class(key)]++] = key;
  hash(sorted.data(), keys.size(), out);
}

void hash_all(hash_function hash, std::span<const md5_key> keys, uint128* out) {
  while (!keys.empty()) {
    const auto some = keys.first(std::min(keys.size(), sort_keys_max));
    std::uint32_t longest = 0;
    for (const md5_key& key : some)
      longest = std::max(longest, key.count);
    if (longest <= md5_detail::short_key_bytes_max) {
      hash(some.data(), some.size(), out);
    } else {
      hash_mixed(hash, some, out);
    }
    keys = keys.subspan(some.size());
  }
}

}  // namespace

void md5_lanes(simd_level level, std::span<const md5_key> keys, uint128* out) {
  switch (level) {
#if defined(__x86_64__)
    case simd_level::avx512:
      return hash_all(md5_detail::hash_avx512, keys, out);
    case simd_level::avx2:
      return hash_all(md5_detail::hash_avx2, keys, out);
#endif
    default:
      for (const md5_key& key : keys)
        out[key.slot] = md5(key.bytes, key.count);
  }
}

}  // namespace millrace
