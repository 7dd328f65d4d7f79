// The appender's dealings with segment files: starting, closing and dropping them.
#include <algorithm>
#include <cstring>
#include <random>

#include "base/clock.h"
#include "shards/log_appender.h"

namespace millrace {

using namespace log_format;

namespace {

std::uint64_t random_incarnation() {
  std::random_device random;
  const std::uint64_t value = (std::uint64_t{random()} << 32) | random();
  return value == 0 ? 1 : value;
}

}  // namespace

void log_appender::replace_segments(segment_list list) {
  auto next = std::make_shared<const segment_list>(std::move(list));
  std::lock_guard lock(shared_.mutex);
  shared_.segments = std::move(next);
}

/// Closes the newest segment and starts the next one, with room for `wanted_bytes`, at the least
/// for blocks of `least_bytes`. Nothing is being written.
status log_appender::start_segment(std::uint64_t least_bytes, std::uint64_t wanted_bytes) {
  close_segment();
  segment_list list = *shared_.segments;
  std::shared_ptr<segment> empty;  // has no acked block: its predecessor is the new one's
  if (!list.empty() && list.back()->block_count == 0) {
    empty = std::move(list.back());
    list.pop_back();
  }

  auto one = std::make_shared<segment>();
  highest_ = highest_.next();
  one->number = highest_;
  one->path = segment_path(shared_.directory, one->number);
  one->incarnation = random_incarnation();
  if (!list.empty()) {
    one->predecessor = list.back()->number;
    one->predecessor_end = list.back()->end;
  }
  committed_.next.clear();
  one->memory = std::make_shared<memory_index>();
  for (const auto& [shard, bounds] : shared_.shards) {
    committed_.next[shard] = bounds.end;
    one->memory->start_shard(shard, bounds.end);
  }
  if (status created = create_segment(*one, least_bytes, wanted_bytes); !created.ok()) {
    file_ = nullptr;
    abandoned_.push_back(one->path);
    remove_abandoned();
    return error(std::move(created).failure())
        .with_context("segment " + std::to_string(one->number.value));
  }
  list.push_back(std::move(one));
  replace_segments(std::move(list));
  // Only now: until the new one was whole, the empty one's snapshot may have been the only one.
  if (empty != nullptr) abandoned_.push_back(empty->path);
  remove_abandoned();
  next_ordinal_ = 0;
  run_count_ = 0;
  counters_.add(counter::segments_created);
  return {};
}

/// Makes the file. The header is written last: where it is whole, so is the snapshot.
status log_appender::create_segment(segment& one, std::uint64_t least_bytes,
                                    std::uint64_t wanted_bytes) {
  const std::vector<std::byte> snapshot = encode_snapshot(committed_, one.incarnation);
  one.data_start = snapshot_offset + snapshot.size();
  one.end = one.data_start;
  MILLRACE_ASSIGN(file_, shared_.files.open(one.path, open_mode::create));
  const std::uint64_t least = one.data_start + least_bytes;
  file_bytes_ = std::max(align_up(wanted_bytes, alignment), least);
  // On a disk that is nearly full a smaller segment is better than none.
  while (true) {
    status reserved = file_->allocate(file_bytes_);
    if (reserved.ok()) break;
    if (reserved.failure().code() != error_code::storage_full || file_bytes_ == least ||
        file_bytes_ <= wanted_bytes / 16) {
      return reserved;
    }
    file_bytes_ = std::max(align_up(file_bytes_ / 2, alignment), least);
  }
  MILLRACE_TRY(file_->write_durable(snapshot_offset, snapshot));
  MILLRACE_TRY(file_->write_durable(0, encode_segment_header(one, shared_.stream, wall_us())));
  write_offset_ = one.data_start;
  return {};
}

/// Ends the newest segment at its last acked block: gives the rest of its room back and writes its
/// index. Both may fail on a bad disk: then the successor's header alone says where it ends, and
/// the index stays in memory until the next time.
void log_appender::close_segment() {
  const segment_list& list = *shared_.segments;
  if (list.empty()) return;
  if (file_ == nullptr) {
    auto opened = shared_.files.open(list.back()->path, open_mode::update);
    if (opened.ok()) file_ = *std::move(opened);
  }
  if (file_ != nullptr) (void)file_->truncate(list.back()->end).ok();
  file_ = nullptr;
  for (const auto& one : list) {
    if (one->memory == nullptr || one->block_count == 0) continue;
    auto written = write_index(shared_.files, *one);
    if (!written.ok()) continue;
    std::lock_guard lock(shared_.mutex);
    one->disk = *std::move(written);
    one->memory = nullptr;
  }
}

void log_appender::remove_abandoned() {
  std::erase_if(abandoned_, [this](const std::string& path) {
    (void)shared_.files.remove(index_path(path)).ok();
    const status removed = shared_.files.remove(path);
    return removed.ok() || removed.failure().code() == error_code::not_found;
  });
}

/// When all records of a log are too old, an empty segment that keeps the log's state takes the
/// place of the newest one, so that this can go too. It has no room: the next block starts another.
void log_appender::roll_expired(std::uint64_t before_us) {
  const segment_list& list = *shared_.segments;
  if (list.empty() || list.back()->block_count == 0 || list.back()->newest_us >= before_us) return;
  if (!waiting_.empty() || failed_ || blocked_) return;
  // If the disk refuses, the next look at retention tries again.
  (void)start_segment(0, 0).ok();
}

std::uint64_t log_appender::drop_segments(std::uint64_t before_us, std::uint64_t bytes_max) {
  roll_expired(before_us);
  const segment_list& list = *shared_.segments;
  std::uint64_t bytes = 0;
  for (const auto& one : list)
    bytes += one->end;
  std::size_t count = 0;
  std::uint64_t freed = 0;
  for (; count + 1 < list.size(); ++count) {
    const bool too_old = list[count]->newest_us < before_us;
    const bool too_much = bytes_max != 0 && bytes - freed > bytes_max;
    if (!too_old && !too_much) break;
    freed += list[count]->end;
  }
  if (count == 0) return 0;

  segment& oldest = *list[count];
  std::vector<std::pair<shard_index, record_index>> starts;
  if (oldest.memory == nullptr) {
    std::uint64_t bytes_read = 0;
    auto read = oldest.disk->read_starts(bytes_read);
    shared_.disk_bytes_read += bytes_read;
    if (read.ok()) {
      starts = *std::move(read);
    } else {
      const auto ignore = [this](const damage&) { ++shared_.blocks_damaged; };
      auto rebuilt = rebuild_index(shared_.files, oldest, ignore);
      if (!rebuilt.ok()) return 0;
      std::lock_guard lock(shared_.mutex);
      oldest.memory = *std::move(rebuilt);
    }
  }
  const segment_list dropped(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
  segment_list kept(list.begin() + static_cast<std::ptrdiff_t>(count), list.end());
  {
    std::lock_guard lock(shared_.mutex);
    if (oldest.memory != nullptr) {
      for (const auto& [shard, known] : oldest.memory->shards()) {
        starts.emplace_back(shard, known.first);
      }
    }
    for (const auto& [shard, first] : starts)
      shared_.shards[shard].horizon = first;
    shared_.segments = std::make_shared<const segment_list>(std::move(kept));
  }
  for (const auto& one : dropped)
    abandoned_.push_back(one->path);
  remove_abandoned();
  counters_.add(counter::segments_deleted, dropped.size());
  return freed;
}

void log_appender::forget_shards(std::span<const shard_index> expired) {
  std::lock_guard lock(shared_.mutex);
  for (const shard_index shard : expired) {
    next_.erase(shard);
    shared_.shards.erase(shard);
    if (!shared_.segments->empty() && shared_.segments->back()->memory != nullptr) {
      shared_.segments->back()->memory->forget_shard(shard);
    }
  }
}

}  // namespace millrace
