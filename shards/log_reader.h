#pragma once
/// The reading side of a log. Thread-safe; contracts in stream_log.h.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shards/aligned_buffer.h"
#include "shards/log_shared.h"
#include "shards/lru_cache.h"
#include "shards/stream_log.h"

namespace millrace {

class log_reader {
 public:
  explicit log_reader(const log_shared& shared) : shared_(shared) {}

  result<read_chunk> read(shard_index shard, record_index from, std::uint64_t bytes_max,
                          std::uint32_t records_max) const;
  result<record_index> find_time(shard_index shard, std::uint64_t arrival_us) const;
  result<std::vector<stream_log::record_place>> find_results(producer_id producer,
                                                             record_number first,
                                                             std::uint32_t count) const;
  result<block_step> next_block(log_position from, bool pass_unreadable) const;
  std::uint64_t bytes_after(log_position from) const;
  status scan(const stream_log::visitor& visit) const;

 private:
  /// A run to read, and its block in the hot tail if it is there.
  struct located_run {
    std::shared_ptr<segment> in;
    stored_run run;
    block_ref hot;
    std::uint64_t hot_offset = 0;  ///< of the block in the segment
  };
  /// A position found: runs to read, or nothing because it is at the end.
  struct location {
    record_index from{};
    record_index end{};
    std::uint64_t newest_us = 0;
    std::vector<located_run> runs;
  };
  struct run_bytes {
    byte_view bytes;
    std::shared_ptr<const void> owner;
  };
  /// Bytes that were read from a segment.
  struct held_memory {
    aligned_memory memory;
    std::uint64_t from = 0;  ///< offset in the segment of the first one
    byte_view at(std::uint64_t offset, std::uint64_t bytes) const {
      return {memory.get() + (offset - from), bytes};
    }
  };

  result<location> locate(shard_index shard, record_index from, std::uint64_t bytes_max) const;
  result<std::shared_ptr<const shard_runs>> runs_of(const std::shared_ptr<segment>& one,
                                                    shard_index shard) const;
  status load_runs(std::vector<located_run>& runs, std::size_t first, std::size_t& count,
                   std::vector<run_bytes>& loaded) const;
  result<run_bytes> open_run(const run_place& place, byte_view sealed) const;
  result<std::shared_ptr<const file>> open_segment(const segment& one) const;
  result<std::shared_ptr<const held_memory>> read_range(const segment& one, std::uint64_t from,
                                                        std::uint64_t to) const;

  // log_blocks.cc
  struct block_source {
    std::shared_ptr<segment> in;
    std::uint64_t end = 0;               ///< of its durable blocks
    std::optional<hot_tail::block> hot;  ///< the block at the position
  };
  result<block_source> find_block(log_position& at, block_step& step) const;
  status read_block(const block_source& from, bool pass_unreadable, log_position& at,
                    block_step& step) const;
  status take_hot_runs(const hot_tail::block& hot, log_block& block) const;
  status take_runs(const segment& one, const log_format::block_header& header,
                   std::shared_ptr<const held_memory> held, block_step& step) const;
  status pass_damage(const segment& one, std::uint64_t end, std::string what, log_position& at,
                     block_step& step) const;
  void report(const segment& one, std::uint64_t from, std::uint64_t to, std::string what,
              block_step& step) const;

  struct results_search;
  /// Offsets of a segment's blocks, the newest limits::results_blocks_max.
  using block_offsets = std::vector<std::uint64_t>;
  result<std::shared_ptr<const block_offsets>> blocks_of(const segment& one) const;
  status search_block(const segment& one, std::uint64_t offset, results_search& search) const;

  const log_shared& shared_;
  using slice_key = std::pair<segment_number, shard_index>;
  using run_key = std::pair<segment_number, std::uint64_t>;
  mutable lru_cache<segment_number, file> files_{64};
  mutable lru_cache<slice_key, shard_runs> slices_{256 * 1024};  ///< runs
  mutable lru_cache<segment_number, block_offsets> blocks_{4 * limits::results_blocks_max};
  mutable lru_cache<run_key, held_memory> large_runs_{16 * limits::mib};  ///< bytes
};

}  // namespace millrace
