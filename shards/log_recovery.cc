#include "shards/log_recovery.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/endian.h"
#include "shards/segment_scanner.h"

namespace millrace {
namespace {

using namespace log_format;

producer_id producer_of(const commit_entry& entry) {
  return producer_id(make_uint128(entry.producer_high, entry.producer_low));
}

/// What a committed block changes in the log's state.
void apply(const block_meta& meta, log_state& state) {
  state.arrival_us = std::max(state.arrival_us, meta.header.arrival_us);
  for (const run_entry& run : meta.runs) {
    record_index& next = state.next[shard_index(run.shard)];
    next = std::max(next, record_index(run.first_index + run.record_count));
  }
  for (const commit_entry& entry : meta.entries) {
    const producer_id producer = producer_of(entry);
    if (producer == producer_id{}) continue;
    state.producers.restore(
        producer, {epoch_number(entry.epoch),
                   record_number(entry.first_record + entry.record_count), meta.header.arrival_us});
  }
}

void add_to_index(const block_meta& meta, memory_index& index) {
  index.add_block(meta.header.offset, meta.header.block_bytes);
  std::uint64_t at = meta.header.offset + meta.layout.runs;
  for (const run_entry& run : meta.runs) {
    index.add_run(shard_index(run.shard), {run.first_index, at, meta.header.arrival_us, run.bytes,
                                           run.record_count, run.crc, run.cipher});
    at += run.bytes;
  }
}

void note_block(const block_meta& meta, segment& one) {
  if (one.block_count++ == 0) one.oldest_us = meta.header.arrival_us;
  one.newest_us = meta.header.arrival_us;
}

class recovery {
 public:
  recovery(file_system& files, const std::string& directory, stream_id stream, bool read_only,
           recovery_report& report)
      : files_(files),
        directory_(directory),
        stream_(stream),
        read_only_(read_only),
        report_(report),
        log_(std::make_unique<recovered_log>()) {}

  result<std::unique_ptr<recovered_log>> run() {
    if (!read_only_) MILLRACE_TRY(files_.create_directory(directory_));
    MILLRACE_TRY(find_segments());
    if (log_->segments.empty()) return std::move(log_);
    MILLRACE_TRY(recover_closed());
    MILLRACE_TRY(recover_newest());
    MILLRACE_TRY(find_horizons());
    report_.segments += log_->segments.size();
    return std::move(log_);
  }

 private:
  status find_segments();
  result<std::shared_ptr<segment>> identify(segment_number number, const std::string& path);
  result<std::shared_ptr<segment>> adopt(const file& from, segment_number number);
  status recover_closed();
  status recover_newest();
  status find_horizons();
  result<std::size_t> restore_state();
  void damaged(const damage& what) { report_.damaged.push_back(what); }

  file_system& files_;
  const std::string& directory_;
  const stream_id stream_;
  const bool read_only_;
  recovery_report& report_;
  std::unique_ptr<recovered_log> log_;
  /// Ends that no successor's header tells, because it is damaged: found by scanning.
  std::vector<bool> end_known_;
};

/// Reads every header and follows the predecessors from the newest segment down.
status recovery::find_segments() {
  MILLRACE_ASSIGN(const std::vector<std::string> names, files_.list(directory_));
  std::vector<std::shared_ptr<segment>> found;
  for (const std::string& name : names) {
    const auto number = parse_segment_name(name);
    if (!number) continue;
    log_->highest = std::max(log_->highest, *number);
    const std::string path = segment_path(directory_, *number);
    MILLRACE_ASSIGN(auto one, identify(*number, path));
    if (one != nullptr) found.push_back(std::move(one));
  }
  if (found.empty()) return {};

  std::vector<std::shared_ptr<segment>>& chain = log_->segments;
  chain.push_back(found.back());
  end_known_.push_back(false);
  while (chain.back()->predecessor.value != 0) {
    const segment& successor = *chain.back();
    const auto at = std::find_if(found.rbegin(), found.rend(), [&](const auto& one) {
      return one->number <= successor.predecessor;
    });
    if (at == found.rend()) break;  // dropped by retention
    const bool expected = (*at)->number == successor.predecessor;
    if (!expected) {
      damaged({segment_path(directory_, successor.predecessor), 0, successor.predecessor_end,
               "segment is missing"});
    }
    end_known_.push_back(expected && successor.predecessor_end != 0);
    (*at)->end = successor.predecessor_end;
    chain.push_back(*at);
  }
  for (const auto& one : found) {
    if (std::find(chain.begin(), chain.end(), one) == chain.end()) {
      log_->abandoned.push_back(one->path);
    }
  }
  std::reverse(chain.begin(), chain.end());
  std::reverse(end_known_.begin(), end_known_.end());
  return {};
}

/// The segment in a file; null when there is none in it. What cannot be read now may well be read
/// the next time, so that is an error: a segment left out here would be gone for good.
result<std::shared_ptr<segment>> recovery::identify(segment_number number,
                                                    const std::string& path) {
  MILLRACE_ASSIGN(const std::unique_ptr<file> opened, files_.open(path, open_mode::read));
  const auto header = read_segment_header(*opened, stream_, number);
  if (!header.ok()) {
    if (header.failure().code() != error_code::corrupt) return error(header.failure());
    return adopt(*opened, number);
  }
  if (header->one_copy_damaged) {
    damaged({path, 0, segment_header_bytes, "one copy of the segment header is damaged"});
  }
  auto one = std::make_shared<segment>();
  one->number = number;
  one->path = path;
  one->incarnation = header->header.incarnation;
  one->predecessor = segment_number(header->header.predecessor);
  one->predecessor_end = header->header.predecessor_end;
  one->data_start = header->header.data_start;
  return one;
}

/// Both copies of the header are gone. The file's first whole block tells the incarnation. A file
/// without any, whose header was never written, was being created when the program ended; one that
/// had a header stays where it is, for people to look at.
result<std::shared_ptr<segment>> recovery::adopt(const file& from, segment_number number) {
  MILLRACE_ASSIGN(const std::uint64_t bytes, from.size());
  segment_scanner scanner(from, 0, bytes / alignment * alignment);
  const std::uint64_t first = scanner.find_block(snapshot_offset);
  const auto header = scanner.header_at(first);
  if (!header) {
    const byte_view page = scanner.read(0, std::min<std::uint64_t>(bytes, segment_header_bytes));
    if (scanner.read_failure()) return error(*scanner.read_failure());
    const auto is_zero = [](std::byte one) { return one == std::byte{0}; };
    if (std::all_of(page.begin(), page.end(), is_zero)) {
      log_->abandoned.push_back(from.path());
    } else {
      damaged({from.path(), 0, bytes, "neither a segment header nor a block is whole"});
    }
    return std::shared_ptr<segment>();
  }
  damaged({from.path(), 0, segment_header_bytes, "both copies of the segment header are damaged"});
  auto one = std::make_shared<segment>();
  one->number = number;
  one->path = from.path();
  one->incarnation = header->incarnation;
  one->predecessor = segment_number(number.value - 1);
  one->data_start = header->ordinal == 0 ? first : std::uint64_t{snapshot_offset};
  return one;
}

status recovery::recover_closed() {
  for (std::size_t i = 0; i + 1 < log_->segments.size(); ++i) {
    segment& one = *log_->segments[i];
    if (!end_known_[i]) {
      MILLRACE_ASSIGN(const auto from, files_.open(one.path, open_mode::read));
      MILLRACE_ASSIGN(const found_end found,
                      scan_newest(*from, one.incarnation, one.data_start,
                                  {[](const block_meta&) {}, [](const damage&) {}}));
      one.end = found.end;
    }
    auto index = disk_index::open(files_, index_path(one.path));
    if (index.ok()) {
      const index_summary& summary = (*index)->summary();
      if (summary.segment == one.number && summary.incarnation == one.incarnation &&
          summary.segment_end == one.end) {
        one.oldest_us = summary.oldest_us;
        one.newest_us = summary.newest_us;
        one.block_count = summary.block_count;
        one.disk = *index;
        continue;
      }
    } else if (index.failure().code() != error_code::not_found) {
      damaged({index_path(one.path), 0, 0, "index is damaged and built anew"});
    }
    auto rebuilt = rebuild_index(files_, one, [this](const damage& what) { damaged(what); });
    if (!rebuilt.ok()) return std::move(rebuilt).failure();
    one.memory = *std::move(rebuilt);
    if (!one.memory->blocks().empty()) {
      MILLRACE_ASSIGN(const auto from, files_.open(one.path, open_mode::read));
      segment_scanner scanner(*from, one.incarnation, one.end);
      const auto first = scanner.header_at(one.memory->blocks().front().offset);
      const auto last = scanner.header_at(one.memory->blocks().back().offset);
      one.oldest_us = first ? first->arrival_us : 0;
      one.newest_us = last ? last->arrival_us : 0;
      one.block_count = one.memory->blocks().size();
    }
    report_.blocks_scanned += one.memory->blocks().size();
    if (read_only_) continue;
    // Without it the next start scans again: slower, but nothing is wrong.
    auto written = write_index(files_, one);
    if (written.ok()) {
      one.disk = *std::move(written);
      one.memory = nullptr;
    }
  }
  return {};
}

/// State as of the newest intact snapshot, and the segment that it is of; the blocks from there on
/// are still to be applied. Fails when there is none but for one that cannot be read now: what it
/// knows of producers nothing else does.
result<std::size_t> recovery::restore_state() {
  status unread;
  for (std::size_t i = log_->segments.size(); i-- > 0;) {
    const segment& one = *log_->segments[i];
    MILLRACE_ASSIGN(const auto from, files_.open(one.path, open_mode::read));
    status read = read_snapshot(*from, one.incarnation, one.data_start, log_->state);
    if (read.ok()) return i;
    damaged({one.path, snapshot_offset, one.data_start, read.failure().message()});
    if (read.failure().code() != error_code::corrupt) unread = std::move(read);
  }
  MILLRACE_TRY(std::move(unread));
  return std::size_t{0};
}

status recovery::recover_newest() {
  log_state& state = log_->state;
  const std::size_t newest = log_->segments.size() - 1;
  MILLRACE_ASSIGN(const std::size_t from_segment, restore_state());
  for (std::size_t i = from_segment; i < newest; ++i) {
    const segment& one = *log_->segments[i];
    MILLRACE_ASSIGN(const auto from, files_.open(one.path, open_mode::read));
    MILLRACE_TRY(
        scan_closed(*from, one.incarnation, one.data_start, one.end,
                    {[&](const block_meta& meta) { apply(meta, state); }, [](const damage&) {}}));
  }

  segment& one = *log_->segments[newest];
  one.memory = std::make_shared<memory_index>();
  for (const auto& [shard, next] : state.next)
    one.memory->start_shard(shard, next);
  // What a killed program wrote may be in the kernel alone: only what is durable may be believed.
  MILLRACE_ASSIGN(const auto from,
                  files_.open(one.path, read_only_ ? open_mode::read : open_mode::update));
  if (!read_only_) MILLRACE_TRY(from->sync());
  MILLRACE_ASSIGN(const found_end found,
                  scan_newest(*from, one.incarnation, one.data_start,
                              {[&](const block_meta& meta) {
                                 apply(meta, state);
                                 add_to_index(meta, *one.memory);
                                 note_block(meta, one);
                               },
                               [this](const damage& what) { damaged(what); }}));
  one.end = found.end;
  report_.bytes_cut += found.bytes_cut;
  report_.blocks_scanned += one.block_count;
  return {};
}

status recovery::find_horizons() {
  segment& oldest = *log_->segments.front();
  std::vector<std::pair<shard_index, record_index>> starts;
  if (oldest.memory == nullptr) {
    std::uint64_t bytes_read = 0;
    auto read = oldest.disk->read_starts(bytes_read);
    if (read.ok()) {
      starts = *std::move(read);
    } else {
      damaged({oldest.disk->path(), 0, 0, "index is damaged and built anew"});
      MILLRACE_ASSIGN(oldest.memory,
                      rebuild_index(files_, oldest, [this](const damage& what) { damaged(what); }));
      oldest.disk = nullptr;
    }
  }
  if (oldest.memory != nullptr) {
    for (const auto& [shard, known] : oldest.memory->shards()) {
      starts.emplace_back(shard, known.first);
    }
  }
  for (const auto& [shard, first] : starts) {
    if (first.value != 0) log_->horizons[shard] = first;
  }
  return {};
}

}  // namespace

result<std::unique_ptr<recovered_log>> recover_log(file_system& files, const std::string& directory,
                                                   stream_id stream, bool read_only,
                                                   recovery_report& report) {
  return recovery(files, directory, stream, read_only, report).run();
}

result<std::shared_ptr<memory_index>> rebuild_index(
    file_system& files, const segment& one, const std::function<void(const damage&)>& note) {
  MILLRACE_ASSIGN(const auto from, files.open(one.path, open_mode::read));
  auto index = std::make_shared<memory_index>();
  log_state start;
  const status snapshot = read_snapshot(*from, one.incarnation, one.data_start, start);
  if (snapshot.ok()) {
    for (const auto& [shard, next] : start.next)
      index->start_shard(shard, next);
  } else {
    note({one.path, snapshot_offset, one.data_start, snapshot.failure().message()});
  }
  const status scanned =
      scan_closed(*from, one.incarnation, one.data_start, one.end,
                  {[&](const block_meta& meta) { add_to_index(meta, *index); }, note});
  if (!scanned.ok()) index->set_incomplete();
  return index;
}

result<std::shared_ptr<const disk_index>> write_index(file_system& files, const segment& one) {
  const std::string path = index_path(one.path);
  if (one.memory->is_incomplete()) {
    return error(error_code::io, path + ": not written, for some blocks could not be read");
  }
  status removed = files.remove(path);
  if (!removed.ok() && removed.failure().code() != error_code::not_found) {
    return std::move(removed).failure();
  }
  const std::vector<std::byte> bytes = encode_index(
      *one.memory,
      {one.number, one.incarnation, one.end, one.oldest_us, one.newest_us, one.block_count});
  MILLRACE_ASSIGN(const auto into, files.open(path, open_mode::create));
  // The header last: an index that was never finished has none, and is no damage.
  const std::uint64_t head = log_format::alignment;
  MILLRACE_TRY(into->write_durable(head, byte_view(bytes).subspan(head)));
  MILLRACE_TRY(into->write_durable(0, byte_view(bytes).first(head)));
  return disk_index::open(files, path);
}

}  // namespace millrace
