// Hash keys of partition keys, and the shard that each belongs to: a thread a record.
#include "gpu/cuda_launch.cuh"
#include "gpu/md5.h"
#include "gpu/record_fields.cuh"
#include "gpu/route_kernels.cuh"

namespace millrace {
namespace {

struct md5_policy {
  static constexpr std::uint32_t threads = 256;
};

/// The words of a key's padded message, but for its length. Keys begin at multiples of 8 (they
/// follow the header, and perhaps a hash key), so words are loaded whole; the last one may bring up
/// to three bytes from behind the key, which are still the record's padding or data.
struct key_words {
  const std::uint32_t* words;
  std::uint32_t bytes;

  MILLRACE_HOST_DEVICE std::uint32_t at(std::uint32_t i) const {
    const std::uint32_t from = i * 4;
    if (from > bytes) return 0;
    if (from == bytes) return 0x80;
    const std::uint32_t word = words[i];
    const std::uint32_t left = bytes - from;
    if (left >= 4) return word;
    return (word & ((1u << (8 * left)) - 1)) | 0x80u << (8 * left);
  }
};

MILLRACE_HOST_DEVICE inline uint128 hash_key_of(const std::byte* key, std::uint32_t bytes) {
  md5_state<std::uint32_t> state{md5_start[0], md5_start[1], md5_start[2], md5_start[3]};
  const key_words words{reinterpret_cast<const std::uint32_t*>(key), bytes};
  const std::uint32_t blocks = md5_blocks(bytes);
  for (std::uint32_t block = 0; block < blocks; ++block) {
    md5_scalar_message message;
#pragma unroll
    for (std::uint32_t i = 0; i < 16; ++i)
      message.words[i] = words.at(block * 16 + i);
    if (block + 1 == blocks) {
      message.words[14] = bytes << 3;
      message.words[15] = bytes >> 29;
    }
    md5_block<md5_scalar_ops>(state, message);
  }
  return md5_hash_key(state);
}

MILLRACE_HOST_DEVICE inline uint128 explicit_hash_key(const std::byte* at) {
  const auto* const words = reinterpret_cast<const std::uint32_t*>(at);
  return md5_hash_key({words[0], words[1], words[2], words[3]});
}

__global__ void __launch_bounds__(md5_policy::threads)
    find_shards_kernel(device_records records, hash_ranges ranges, std::uint16_t* shard) {
  const std::uint32_t i = blockIdx.x * md5_policy::threads + threadIdx.x;
  if (i >= records.count) return;
  const std::byte* const record = records.bytes + records.offsets[i];
  const record_head head = read_head(record);
  const uint128 hash_key = head.has_hash_key
                               ? explicit_hash_key(record + sizeof(record_header))
                               : hash_key_of(record + sizeof(record_header), head.key_bytes);
  shard[i] = static_cast<std::uint16_t>(find_range(ranges, hash_key));
}

}  // namespace

cudaError_t find_shards(const device_records& records, const hash_ranges& ranges,
                        std::uint16_t* shard, cudaStream_t stream) {
  return launch(find_shards_kernel, blocks_for(records.count, md5_policy::threads),
                md5_policy::threads, stream, records, ranges, shard);
}

}  // namespace millrace
