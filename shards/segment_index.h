#pragma once
/// Where the runs of each shard are in a segment: in memory while the segment is open, in a file
/// beside it afterwards. Derived from the segment; rebuilt when missing or damaged.
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "shards/file.h"
#include "shards/log_format.h"

namespace millrace {

using log_format::stored_run;

/// A shard's part of a segment.
struct shard_runs {
  record_index first{};  ///< the shard's next index when the segment started
  record_index end{};    ///< and after its newest block
  std::vector<stored_run> runs;
};

/// Grows block by block. Not synchronised: the log's mutex guards it while its segment is open.
class memory_index {
 public:
  struct block_place {
    std::uint64_t offset;
    std::uint32_t bytes;
  };

  /// Knows a shard before its first run.
  void start_shard(shard_index shard, record_index next);
  void add_block(std::uint64_t offset, std::uint32_t bytes);
  void add_run(shard_index shard, const stored_run& run);
  void forget_shard(shard_index shard) { shards_.erase(shard); }
  /// Built while some blocks could not be read: good enough until they can, and never for a file.
  void set_incomplete() { is_incomplete_ = true; }
  bool is_incomplete() const { return is_incomplete_; }

  const shard_runs* find(shard_index shard) const;
  const std::unordered_map<shard_index, shard_runs>& shards() const { return shards_; }
  const std::vector<block_place>& blocks() const { return blocks_; }
  std::uint64_t run_count() const { return run_count_; }

 private:
  std::unordered_map<shard_index, shard_runs> shards_;
  std::vector<block_place> blocks_;
  std::uint64_t run_count_ = 0;
  bool is_incomplete_ = false;
};

/// What an index file says of its segment as a whole.
struct index_summary {
  segment_number segment{};
  std::uint64_t incarnation = 0;
  std::uint64_t segment_end = 0;
  std::uint64_t oldest_us = 0;
  std::uint64_t newest_us = 0;
  std::uint64_t block_count = 0;
};

/// The bytes of an index file.
std::vector<std::byte> encode_index(const memory_index& index, const index_summary& summary);

/// An index file of a closed segment. Reads are thread-safe; the header page stays in memory.
class disk_index {
 public:
  /// `not_found` when it is missing or was never finished, `corrupt` when its header is damaged;
  /// the directory and the runs are checked as they are read.
  static result<std::shared_ptr<const disk_index>> open(file_system& files,
                                                        const std::string& path);

  const index_summary& summary() const { return summary_; }
  const std::string& path() const { return path_; }

  /// A shard's runs; without the shard, an empty one that starts and ends at 0. `bytes_read` grows.
  result<shard_runs> read_shard(shard_index shard, std::uint64_t& bytes_read) const;
  /// Reads and checks all of it.
  status check(std::uint64_t& bytes_read) const;
  /// The whole directory: every known shard and its first index.
  result<std::vector<std::pair<shard_index, record_index>>> read_starts(
      std::uint64_t& bytes_read) const;

 private:
  disk_index(file_system& files, std::string path) : files_(files), path_(std::move(path)) {}
  result<log_format::directory_page> read_page(const file& from, std::uint32_t page,
                                               std::uint64_t& bytes_read) const;
  error damaged(const char* why) const;

  file_system& files_;
  std::string path_;
  index_summary summary_;
  std::uint64_t pages_offset_ = 0;
  std::vector<std::uint32_t> fences_;  ///< the first shard of each directory page
};

}  // namespace millrace
