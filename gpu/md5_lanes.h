#pragma once
/// MD5 of many keys at once, one in each lane of a vector, several vectors interleaved.
#include <cstdint>
#include <span>

#include "base/types.h"
#include "gpu/simd_level.h"

namespace millrace {

/// A partition key to hash, at any address. Up to 3 bytes after it are read, never across a
/// multiple of 4 bytes from its start: a record's padding holds them, since a key starts at a
/// multiple of 8 in its record.
struct md5_key {
  const std::byte* bytes;
  std::uint32_t count;
  std::uint32_t slot;  ///< where its hash key goes in `out`
};
static_assert(sizeof(md5_key) == 16);

/// `out[key.slot]` = md5() of each key. Fastest for keys of up to 32 bytes; keys over 55 bytes are
/// grouped by their number of blocks. Thread-safe. This CPU must have `level`.
void md5_lanes(simd_level level, std::span<const md5_key> keys, uint128* out);

namespace md5_detail {

/// What `md5_lanes` calls, each compiled for its own instructions. The keys are sorted so that
/// those of up to `short_key_bytes_max` come first, and ideally by block count after that.
inline constexpr std::uint32_t short_key_bytes_max = 32;
void hash_avx2(const md5_key* keys, std::size_t count, uint128* out);
void hash_avx512(const md5_key* keys, std::size_t count, uint128* out);

}  // namespace md5_detail
}  // namespace millrace
