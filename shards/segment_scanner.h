#pragma once
/// Walks the blocks of a segment file: heads and tails of blocks alone where that is enough, and
/// over damaged bytes to the next whole header.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shards/aligned_buffer.h"
#include "shards/block_reader.h"
#include "shards/file.h"

namespace millrace {

/// Reads one file through two windows (front and back of a block), larger ones while it goes on
/// sequentially. A read that fails is a range of bytes that is not there.
class segment_scanner {
 public:
  /// Blocks end at or before `limit`. `incarnation` 0: blocks of any.
  segment_scanner(const file& from, std::uint64_t incarnation, std::uint64_t limit);

  /// The header of a whole-looking block that belongs at `offset`.
  std::optional<log_format::block_header> header_at(std::uint64_t offset);
  /// Run table, order column and entries of the block with this header.
  bool read_meta(const log_format::block_header& header, block_meta& into, const char*& why);
  /// Reads all runs and compares their checksums.
  bool runs_are_whole(const block_meta& meta);
  /// The first offset at or after `offset` (a multiple of 4096) with a header; the limit when there
  /// is none.
  std::uint64_t find_block(std::uint64_t offset);
  /// `bytes` at `offset`, valid until the next call; empty when they cannot be read.
  byte_view read(std::uint64_t offset, std::uint64_t bytes) { return view(back_, offset, bytes); }

  /// One past the last page that find_block() saw with anything but zeros.
  std::uint64_t nonzero_end() const { return nonzero_end_; }
  std::uint64_t bytes_read() const { return bytes_read_; }
  /// The last read that failed, for callers to whom that is not the same as damage: a failure may
  /// pass, and the bytes come back.
  const std::optional<error>& read_failure() const { return failure_; }
  std::uint64_t failed_offset() const { return failed_offset_; }

 private:
  struct window {
    aligned_memory memory;
    std::uint64_t capacity = 0;
    std::uint64_t from = 0;
    std::uint64_t bytes = 0;
    bool holds(std::uint64_t offset, std::uint64_t wanted) const {
      return offset >= from && offset + wanted <= from + bytes;
    }
  };
  byte_view view(window& in, std::uint64_t offset, std::uint64_t bytes);

  const file& file_;
  const std::uint64_t incarnation_;
  const std::uint64_t limit_;
  std::uint64_t file_bytes_ = 0;
  window front_;
  window back_;
  std::uint64_t nonzero_end_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::optional<error> failure_;
  std::uint64_t failed_offset_ = 0;
};

/// What a scan tells.
struct scan_events {
  std::function<void(const block_meta&)> block;
  std::function<void(const damage&)> damaged;
};

/// A segment whose end is known: all in [data_start, end) was acked, so whatever is not whole there
/// is damage. Runs are not read. Goes on behind what cannot be read, and then fails with the
/// reason: that is told as damage too, but may come back.
status scan_closed(const file& from, std::uint64_t incarnation, std::uint64_t data_start,
                   std::uint64_t end, const scan_events& events);

/// Where the newest segment's blocks end, and what was cut off there.
struct found_end {
  std::uint64_t end = 0;
  std::uint64_t bytes_cut = 0;
};

/// The newest segment after a crash. Below the highest durable mark as above; beyond it every block
/// is checked in full and the first that is not whole cuts all that follows. Fails when bytes
/// beyond the mark cannot be read: to cut there would be for good.
result<found_end> scan_newest(const file& from, std::uint64_t incarnation, std::uint64_t data_start,
                              const scan_events& events);

}  // namespace millrace
