#pragma once
/// Reads blocks (log_format.h) back, believing nothing: every length is checked before it is used.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/record_batch.h"
#include "shards/log_format.h"
#include "shards/stream_log.h"

namespace millrace {

/// What a block says of itself, without its records.
struct block_meta {
  log_format::block_header header;
  log_format::block_layout layout;
  std::vector<log_format::run_entry> runs;
  std::vector<log_format::commit_entry> entries;
  std::vector<std::byte> order;  ///< the order column; see run_of()

  /// Which of `runs` the batch's i-th record went to.
  std::uint32_t run_of(std::uint32_t i) const;
};

/// The header at the start of `bytes` (at least a header long), if magic, version, checksum and
/// lengths are right.
std::optional<log_format::block_header> parse_block_header(byte_view bytes);

/// Takes the two parts of a block around its runs: `front` from its start to the runs, `back` from
/// the order column to the trailer's end. False, with `why`, when they are damaged.
bool parse_block_meta(const log_format::block_header& header, byte_view front, byte_view back,
                      block_meta& into, const char*& why);

/// What is known of a run besides its bytes.
struct run_facts {
  shard_index shard{};
  record_index first{};
  std::uint32_t record_count = 0;
  std::uint64_t arrival_us = 0;
  bool is_encrypted = false;  ///< in the log; to parse_run() it comes opened
};

/// Appends the records of a run whose checksum is right, from index `from` on, until `records` has
/// grown to `records_max` or `bytes_left` (of strides; reduced) is used up: the last record may
/// exceed it, and the first is always taken when `records` is empty. False when the bytes do not
/// hold what is promised.
bool parse_run(byte_view bytes, const run_facts& run, record_index from, std::size_t records_max,
               std::uint64_t& bytes_left, std::vector<stored_record>& records);

/// Whether the bytes of a run are exactly `record_count` records.
bool holds_records(byte_view bytes, std::uint32_t record_count);

}  // namespace millrace
