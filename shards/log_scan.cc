// Reads a whole log in order and checks everything that there is to check.
#include <algorithm>
#include <unordered_map>

#include "base/crc32c.h"
#include "shards/block_reader.h"
#include "shards/log_reader.h"
#include "shards/segment_scanner.h"

namespace millrace {

using namespace log_format;

namespace {

class log_scan {
 public:
  log_scan(const stream_log::visitor& visit, const log_shared& of) : visit_(visit), of_(of) {}

  /// False when the visitor has had enough.
  bool scan_blocks(const file& from, const segment& one, std::uint64_t end);
  void report(const std::string& path, std::uint64_t from, std::uint64_t to, std::string what) {
    if (visit_.damaged) visit_.damaged({path, from, to, std::move(what)});
  }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  bool scan_block(const file& from, const block_header& header);
  bool check_block(const file& from, const block_header& header, byte_view bytes);
  bool take_run(const run_entry& run, std::uint64_t arrival_us, byte_view bytes, std::string& why);
  void check_continuity(const file& from, const block_meta& meta, const run_entry& run);

  const stream_log::visitor& visit_;
  const log_shared& of_;
  std::vector<std::vector<std::byte>> opened_;  ///< what records_ point into
  aligned_memory memory_;
  std::uint64_t capacity_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::vector<stored_record> records_;
  std::unordered_map<std::uint32_t, std::uint64_t> next_;  ///< of each shard; empty after damage
  std::uint64_t arrival_us_ = 0;
};

bool log_scan::scan_blocks(const file& from, const segment& one, std::uint64_t end) {
  segment_scanner scanner(from, one.incarnation, end);
  for (std::uint64_t at = one.data_start; at < end;) {
    const auto header = scanner.header_at(at);
    if (!header) {
      const std::uint64_t next = scanner.find_block(at + alignment);
      report(from.path(), at, next, "block header is damaged");
      next_.clear();
      at = next;
      continue;
    }
    if (!scan_block(from, *header)) return false;
    at += header->block_bytes;
  }
  bytes_read_ += scanner.bytes_read();
  return true;
}

bool log_scan::scan_block(const file& from, const block_header& header) {
  if (capacity_ < header.block_bytes) {
    memory_ = allocate_aligned(header.block_bytes);
    capacity_ = header.block_bytes;
  }
  const mutable_byte_view bytes(memory_.get(), header.block_bytes);
  const status read = from.read_at(header.offset, bytes);
  bytes_read_ += bytes.size();
  if (!read.ok()) {
    report(from.path(), header.offset, header.offset + header.block_bytes,
           read.failure().message());
    next_.clear();
    return true;
  }
  return check_block(from, header, bytes);
}

bool log_scan::check_block(const file& from, const block_header& header, byte_view bytes) {
  const std::uint64_t start = header.offset;
  block_meta meta;
  const char* why = "";
  const block_layout layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  if (!parse_block_meta(header, bytes.first(layout.runs), bytes.subspan(layout.order), meta, why)) {
    report(from.path(), start, start + header.block_bytes, std::string("block: ") + why);
    next_.clear();
    return true;
  }
  if (header.arrival_us < arrival_us_) {
    report(from.path(), start, start + sizeof(block_header), "arrival time goes backwards");
  }
  arrival_us_ = std::max(arrival_us_, header.arrival_us);

  records_.clear();
  opened_.clear();
  std::uint64_t at = layout.runs;
  for (const run_entry& run : meta.runs) {
    check_continuity(from, meta, run);
    const byte_view run_bytes = bytes.subspan(at, run.bytes);
    const std::size_t before = records_.size();
    std::string wrong;
    if (!take_run(run, header.arrival_us, run_bytes, wrong)) {
      records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(before), records_.end());
      report(from.path(), start + at, start + at + run.bytes,
             "shard " + std::to_string(run.shard) + ": records " + std::to_string(run.first_index) +
                 ".." + std::to_string(run.first_index + run.record_count - 1) + ": " + wrong);
    }
    at += run.bytes;
  }
  const std::uint64_t used = layout.trailer + sizeof(commit_trailer);
  const byte_view padding = bytes.subspan(used);
  if (std::any_of(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{0}; })) {
    report(from.path(), start + used, start + header.block_bytes, "padding is not zero");
  }
  return !visit_.block || visit_.block(records_);
}

bool log_scan::take_run(const run_entry& run, std::uint64_t arrival_us, byte_view bytes,
                        std::string& why) {
  const shard_index shard(run.shard);
  const record_index first(run.first_index);
  why = "checksum is wrong";
  if (crc32c(bytes) != run.crc) return false;
  if (run.cipher != cipher_none) {
    opened_.emplace_back(bytes.size());
    const status opened =
        of_.opener.open({of_.stream, shard, first, run.record_count}, bytes, opened_.back().data());
    if (!opened.ok() && opened.failure().code() == error_code::permission) {
      if (visit_.locked) visit_.locked(shard, first, run.record_count);
      return true;
    }
    why = opened.ok() ? "" : opened.failure().message();
    if (!opened.ok()) return false;
    bytes = byte_view(opened_.back()).first(run_opener::run_bytes(bytes));
  }
  why = "malformed";
  std::uint64_t all = UINT64_MAX;
  const run_facts facts{.shard = shard,
                        .first = first,
                        .record_count = run.record_count,
                        .arrival_us = arrival_us,
                        .is_encrypted = run.cipher != cipher_none};
  return parse_run(bytes, facts, record_index{}, SIZE_MAX, all, records_);
}

void log_scan::check_continuity(const file& from, const block_meta& meta, const run_entry& run) {
  const auto [known, first_seen] = next_.try_emplace(run.shard, run.first_index);
  if (!first_seen && known->second != run.first_index) {
    report(from.path(), meta.header.offset, meta.header.offset + meta.layout.runs,
           "shard " + std::to_string(run.shard) + " goes on at " + std::to_string(run.first_index) +
               " where " + std::to_string(known->second) + " was next");
  }
  known->second = run.first_index + run.record_count;
}

}  // namespace

status log_reader::scan(const stream_log::visitor& visit) const {
  std::shared_ptr<const segment_list> list;
  std::uint64_t last_end = 0;
  {
    std::lock_guard lock(shared_.mutex);
    list = shared_.segments;
    if (!list->empty()) last_end = list->back()->end;
  }
  log_scan scan(visit, shared_);
  for (const auto& one : *list) {
    auto from = shared_.files.open(one->path, open_mode::read);
    if (!from.ok()) {
      scan.report(one->path, 0, one->end, from.failure().message());
      continue;
    }
    const auto header = read_segment_header(**from, shared_.stream, one->number);
    if (!header.ok() || header->one_copy_damaged) {
      scan.report(
          one->path, 0, segment_header_bytes,
          header.ok() ? "one copy of the segment header is damaged" : header.failure().message());
    }
    log_state ignored;
    const status snapshot = read_snapshot(**from, one->incarnation, one->data_start, ignored);
    if (!snapshot.ok()) {
      scan.report(one->path, snapshot_offset, one->data_start, snapshot.failure().message());
    }
    const bool is_last = one == list->back();
    if (!scan.scan_blocks(**from, *one, is_last ? last_end : one->end)) break;
    if (is_last) continue;
    const auto index = disk_index::open(shared_.files, index_path(one->path));
    std::uint64_t bytes_read = 0;
    if (!index.ok() && index.failure().code() == error_code::corrupt) {
      scan.report(index_path(one->path), 0, alignment, index.failure().message());
    } else if (index.ok()) {
      const auto checked = (*index)->check(bytes_read);
      if (!checked.ok()) {
        scan.report(index_path(one->path), alignment, alignment, checked.failure().message());
      }
    }
  }
  shared_.disk_bytes_read += scan.bytes_read();
  return {};
}

}  // namespace millrace
