#pragma once
/// The bytes of segment files and of their indexes: see docs/log_format.md. Little-endian; every
/// structure starts at a multiple of 8 of its file. Do not change: stored logs depend on every
/// byte; a new meaning needs a new version.
///
///   segment  = segment_header (twice) | snapshot | block*
///   snapshot = snapshot_header | snapshot_shard* | snapshot_producer* | zeros
///   block    = block_header | run_entry* | runs | order column | commit_entry* | commit_trailer |
///   zeros
#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace millrace::log_format {

inline constexpr std::uint32_t segment_magic = 0x3147'534d;   ///< "MSG1" in memory order
inline constexpr std::uint32_t snapshot_magic = 0x3150'534d;  ///< "MSP1"
inline constexpr std::uint32_t block_magic = 0x314b'424d;     ///< "MBK1"
inline constexpr std::uint32_t trailer_magic = 0x3143'424d;   ///< "MBC1"
inline constexpr std::uint32_t index_magic = 0x3158'494d;     ///< "MIX1"
inline constexpr std::uint16_t version = 1;

/// Blocks, snapshots and everything else that is written starts and ends at a multiple of this.
inline constexpr std::uint32_t alignment = 4096;
inline constexpr std::uint32_t segment_header_bytes = 4096;
/// Where the segment header's second copy is: another sector, so that one bad sector costs nothing.
inline constexpr std::uint32_t segment_header_copy_offset = 2048;
inline constexpr std::uint32_t snapshot_offset = segment_header_bytes;
/// No block is larger. Far above what a batch can need; a length beyond it is damage.
inline constexpr std::uint32_t block_bytes_max = 64u << 20;
/// Up to this many runs the order column has one byte a record, beyond it two.
inline constexpr std::uint32_t narrow_runs_max = 256;

struct segment_header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t cipher;       ///< 0: none. Room for a cipher over runs
  std::uint32_t stream;       ///< a file in the wrong directory is noticed
  std::uint32_t key_id;       ///< 0 while cipher is 0
  std::uint64_t segment;      ///< this segment's number
  std::uint64_t incarnation;  ///< random: bytes of another file never pass for a block of this one
  std::uint64_t created_us;   ///< for people
  std::uint64_t predecessor;  ///< number of the segment before it; 0: none
  std::uint64_t predecessor_end;  ///< where that one's blocks end: what is beyond was never acked
  std::uint64_t data_start;       ///< offset of the first block, after the snapshot
  std::uint8_t reserved[60];      ///< zero; room for a wrapped key
  std::uint32_t crc;              ///< of the bytes before it
};
static_assert(sizeof(segment_header) == 128 && alignof(segment_header) == 8);
static_assert(offsetof(segment_header, segment) == 16 &&
              offsetof(segment_header, data_start) == 56);
static_assert(offsetof(segment_header, crc) == 124);

/// State as of the segment's start, so that older segments can go and recovery reads one segment.
struct snapshot_header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t reserved;
  std::uint32_t shard_count;
  std::uint32_t producer_count;
  std::uint64_t payload_bytes;  ///< of the entries, without padding
  std::uint64_t incarnation;    ///< of its segment
  std::uint64_t arrival_us;     ///< of the newest block before it: arrival times never go backwards
  std::uint64_t reserved2[2];
  std::uint32_t payload_crc;
  std::uint32_t crc;  ///< of the header's bytes before it
};
static_assert(sizeof(snapshot_header) == 64 && offsetof(snapshot_header, payload_bytes) == 16);
static_assert(offsetof(snapshot_header, crc) == 60);

struct snapshot_shard {
  std::uint64_t next_index;
  std::uint32_t shard;
  std::uint32_t reserved;
};
static_assert(sizeof(snapshot_shard) == 16);

struct snapshot_producer {
  std::uint64_t producer_low;
  std::uint64_t producer_high;
  std::uint64_t next_record;
  std::uint64_t active_us;  ///< entries are sorted by it, so that the longest-silent stays known
  std::uint32_t epoch;
  std::uint32_t reserved;
};
static_assert(sizeof(snapshot_producer) == 40);

struct block_header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint8_t order_width;  ///< bytes a record in the order column: 1 or 2
  std::uint8_t reserved;
  std::uint32_t block_bytes;  ///< all of it, padding included: where the next block starts
  std::uint32_t record_count;
  std::uint32_t run_count;
  std::uint32_t entry_count;
  std::uint32_t payload_bytes;  ///< of all runs
  std::uint32_t key_id;         ///< of its runs; 0 while cipher is 0
  std::uint64_t incarnation;    ///< of its segment
  std::uint64_t ordinal;        ///< in its segment, from 0, without gaps
  std::uint64_t offset;         ///< its own: a write that went astray is noticed
  std::uint64_t
      durable_mark;  ///< all of the segment below this offset was durable when this was written
  std::uint64_t arrival_us;    ///< of every record in it; never less than the previous block's
  std::uint16_t cipher;        ///< of its runs
  std::uint8_t reserved2[50];  ///< zero
  std::uint32_t crc;           ///< of the header's bytes before it
};
static_assert(sizeof(block_header) == 128 && alignof(block_header) == 8);
static_assert(offsetof(block_header, incarnation) == 32 &&
              offsetof(block_header, arrival_us) == 64);
static_assert(offsetof(block_header, crc) == 124);

/// A run: the block's records of one shard, in batch order, back to back.
struct run_entry {
  std::uint64_t first_index;  ///< record_index of its first record
  std::uint32_t shard;
  std::uint32_t created_s;  ///< creation second of the shard: part of its sequence numbers
  std::uint32_t record_count;
  std::uint32_t bytes;
  std::uint32_t crc;  ///< of its bytes: a reader of one shard checks only what it reads
  std::uint32_t cipher;
};
static_assert(sizeof(run_entry) == 32 && offsetof(run_entry, crc) == 24);

/// What `cipher` may be, of a block and of each of its runs.
inline constexpr std::uint32_t cipher_none = 0;
inline constexpr std::uint32_t cipher_aes_256_gcm = 1;  ///< a run_seal ends the run's bytes

inline constexpr std::uint32_t seal_salt_bytes = 32;

/// Behind the ciphertext of a run. The key of salt and key id is derived, the nonce is the count;
/// see docs/log_format.md.
struct run_seal {
  std::uint8_t salt[seal_salt_bytes];
  std::uint64_t count;
  std::uint32_t key_id;
  std::uint32_t reserved;
  std::uint8_t tag[16];
};
static_assert(sizeof(run_seal) == 64 && offsetof(run_seal, tag) == 48);

/// Whose records these are, in batch order. Producer 0: raw records. record_count 0: the producer
/// was given `epoch`, and first_record is its next record's number.
struct commit_entry {
  std::uint64_t producer_low;
  std::uint64_t producer_high;
  std::uint64_t first_record;
  std::uint32_t epoch;
  std::uint32_t record_count;
};
static_assert(sizeof(commit_entry) == 32);

/// Makes the block whole: without it there was no commit.
struct commit_trailer {
  std::uint32_t magic;
  std::uint32_t crc;      ///< of header, run table, order column (with its padding) and entries
  std::uint64_t ordinal;  ///< as in the header
};
static_assert(sizeof(commit_trailer) == 16);

/// Where the parts of a block are, from its counts.
struct block_layout {
  std::uint64_t runs = 0;     ///< offset of the first run
  std::uint64_t order = 0;    ///< of the order column
  std::uint64_t entries = 0;  ///< of the commit entries
  std::uint64_t trailer = 0;
  std::uint64_t block_bytes = 0;
};

constexpr std::uint8_t order_width(std::uint32_t run_count) {
  return run_count <= narrow_runs_max ? 1 : 2;
}

constexpr block_layout layout_of(std::uint32_t run_count, std::uint64_t payload_bytes,
                                 std::uint32_t record_count, std::uint32_t entry_count) {
  block_layout at;
  at.runs = sizeof(block_header) + std::uint64_t{run_count} * sizeof(run_entry);
  at.order = at.runs + payload_bytes;
  at.entries = align_up(at.order + std::uint64_t{record_count} * order_width(run_count), 8);
  at.trailer = at.entries + std::uint64_t{entry_count} * sizeof(commit_entry);
  at.block_bytes = align_up(at.trailer + sizeof(commit_trailer), alignment);
  return at;
}

// --- index files -----------------------------------------------------------------------------
// index = index_header, fences (u32: the first shard of each page), zeros to a multiple of 4096
//       | directory page* | stored_run*, shard by shard

inline constexpr std::uint32_t directory_page_entries = 102;
/// Far above the shards of any stream; a count beyond it is damage.
inline constexpr std::uint32_t directory_pages_max = 1u << 20;

struct index_header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t reserved;
  std::uint64_t segment;
  std::uint64_t incarnation;  ///< of the segment: an index of another file is not believed
  std::uint64_t segment_end;  ///< where the segment's blocks end
  std::uint64_t oldest_us;    ///< arrival of its first and last block; 0 without blocks
  std::uint64_t newest_us;
  std::uint64_t run_count;
  std::uint64_t block_count;
  std::uint32_t shard_count;
  std::uint32_t page_count;
  std::uint8_t reserved2[52];
  std::uint32_t crc;  ///< of header, fences and padding, with this field zero
};
static_assert(sizeof(index_header) == 128 && offsetof(index_header, shard_count) == 64);

/// Where the directory starts.
constexpr std::uint64_t directory_offset(std::uint32_t page_count) {
  return align_up(sizeof(index_header) + std::uint64_t{page_count} * 4, alignment);
}

/// What one segment has of a shard. Entries are sorted by shard; every shard that the log knew is
/// there, also without runs, so that a search over segments always learns on which side to go on.
struct directory_entry {
  std::uint64_t first_index;  ///< the shard's next index when the segment started
  std::uint64_t end_index;    ///< and when it ended
  std::uint64_t runs_offset;  ///< of its stored_run array in the index file
  std::uint32_t shard;
  std::uint32_t run_count;
  std::uint32_t runs_crc;  ///< of that array
  std::uint32_t reserved;
};
static_assert(sizeof(directory_entry) == 40);

struct directory_page {
  directory_entry entries[directory_page_entries];
  std::uint32_t entry_count;
  std::uint32_t crc;  ///< of the page's bytes before it
  std::uint64_t reserved;
};
static_assert(sizeof(directory_page) == alignment);

struct stored_run {
  std::uint64_t first_index;
  std::uint64_t offset;  ///< of the run in the segment file
  std::uint64_t arrival_us;
  std::uint32_t bytes;
  std::uint32_t record_count;
  std::uint32_t crc;
  std::uint32_t cipher;
};
static_assert(sizeof(stored_run) == 40);

}  // namespace millrace::log_format
