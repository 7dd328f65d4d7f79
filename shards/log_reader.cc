#include "shards/log_reader.h"

#include <algorithm>
#include <optional>

#include "base/crc32c.h"
#include "shards/aligned_buffer.h"
#include "shards/block_reader.h"
#include "shards/log_recovery.h"

namespace millrace {

namespace {

/// Runs closer together than this are read at once: a disk access costs more than the bytes.
constexpr std::uint64_t gap_bytes_max = 16 * 1024;
constexpr std::uint64_t read_bytes_max = 1024 * 1024;
constexpr std::size_t runs_per_read_max = 1024;
/// A retention drop may take a segment away between finding a position and reading it.
constexpr int attempts_max = 8;

bool ends_before(const stored_run& run, record_index from) {
  return run.first_index + run.record_count <= from.value;
}

}  // namespace

result<std::shared_ptr<const file>> log_reader::open_segment(const segment& one) const {
  if (auto known = files_.find(one.number)) return known;
  MILLRACE_ASSIGN(std::unique_ptr<file> opened, shared_.files.open(one.path, open_mode::read));
  std::shared_ptr<const file> shared(std::move(opened));
  files_.insert(one.number, shared, 1);
  return shared;
}

/// Bytes [from, to) of a segment, with the sectors that they begin and end in.
result<std::shared_ptr<const log_reader::held_memory>> log_reader::read_range(
    const segment& one, std::uint64_t from, std::uint64_t to) const {
  MILLRACE_ASSIGN(const std::shared_ptr<const file> source, open_segment(one));
  const std::uint64_t step = source->read_alignment();
  auto held = std::make_shared<held_memory>();
  held->from = from / step * step;
  const std::uint64_t bytes = (to - held->from + step - 1) / step * step;
  held->memory = allocate_aligned(bytes);
  MILLRACE_TRY(source->read_at(held->from, {held->memory.get(), bytes}));
  shared_.disk_bytes_read += bytes;
  return std::shared_ptr<const held_memory>(std::move(held));
}

/// What a segment that is not the newest has of a shard.
result<std::shared_ptr<const shard_runs>> log_reader::runs_of(const std::shared_ptr<segment>& one,
                                                              shard_index shard) const {
  const slice_key key{one->number, shard};
  if (auto known = slices_.find(key)) return known;
  std::shared_ptr<memory_index> memory;
  std::shared_ptr<const disk_index> disk;
  {
    std::lock_guard lock(shared_.mutex);
    memory = one->memory;
    disk = one->disk;
  }
  shard_runs runs;
  if (memory == nullptr) {
    std::uint64_t bytes_read = 0;
    auto read = disk->read_shard(shard, bytes_read);
    shared_.disk_bytes_read += bytes_read;
    if (read.ok()) {
      runs = *std::move(read);
    } else if (read.failure().code() == error_code::not_found && !open_segment(*one).ok()) {
      return std::move(read).failure();  // the whole segment was dropped
    } else {
      // The index is derived: whatever is wrong with it, the segment tells the same.
      ++shared_.blocks_damaged;
      MILLRACE_ASSIGN(memory, rebuild_index(shared_.files, *one,
                                            [this](const damage&) { ++shared_.blocks_damaged; }));
      std::lock_guard lock(shared_.mutex);
      one->memory = memory;
      one->disk = nullptr;
    }
  }
  if (memory != nullptr) {
    // Closed by now, so nobody changes it any more.
    if (const shard_runs* const known = memory->find(shard)) runs = *known;
  }
  auto kept = std::make_shared<const shard_runs>(std::move(runs));
  slices_.insert(key, kept, 16 + kept->runs.size());
  return kept;
}

/// Finds the runs from `from` on in the first segment that has any, up to about `bytes_max`.
result<log_reader::location> log_reader::locate(shard_index shard, record_index from,
                                                std::uint64_t bytes_max) const {
  location found;
  std::shared_ptr<const segment_list> list;
  const auto take = [&](const std::shared_ptr<segment>& in, const shard_runs& known) {
    auto run = std::partition_point(known.runs.begin(), known.runs.end(),
                                    [&](const auto& one) { return ends_before(one, found.from); });
    for (std::uint64_t bytes = 0;
         run != known.runs.end() && bytes < bytes_max && found.runs.size() < runs_per_read_max;
         ++run) {
      found.runs.push_back({in, *run, {}, 0});
      bytes += run->bytes;
    }
  };
  const auto note_hot = [&] {
    for (located_run& one : found.runs) {
      const hot_tail::block* const hot = shared_.hot.find(one.in->number, one.run.offset);
      if (hot == nullptr) continue;
      one.hot = hot->buffer;
      one.hot_offset = hot->offset;
    }
  };
  {
    std::lock_guard lock(shared_.mutex);
    found.newest_us = shared_.newest_us;
    list = shared_.segments;
    const auto known = shared_.shards.find(shard);
    if (known != shared_.shards.end()) {
      found.end = known->second.end;
      found.from = std::max(from, known->second.horizon);
    } else {
      found.from = from;
    }
    if (found.from >= found.end) return found;
    const auto& newest = list->back();
    const shard_runs* const runs = newest->memory ? newest->memory->find(shard) : nullptr;
    if (runs != nullptr && found.from >= runs->first) {
      take(newest, *runs);
      note_hot();
      return found;
    }
  }
  std::size_t low = 0;
  std::size_t high = list->size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    record_index end = found.end;
    if (middle + 1 < list->size()) {
      MILLRACE_ASSIGN(const auto runs, runs_of((*list)[middle], shard));
      end = runs->end;
    }
    (end > found.from ? high : low) = end > found.from ? middle : middle + 1;
  }
  // A damaged index may promise more than its runs have: then the next segment goes on.
  for (; low < list->size() && found.runs.empty(); ++low) {
    const auto& one = (*list)[low];
    bool taken = false;
    if (low + 1 == list->size()) {
      std::lock_guard lock(shared_.mutex);
      taken = one->memory != nullptr;  // else it was closed meanwhile
      const shard_runs* const runs = taken ? one->memory->find(shard) : nullptr;
      if (runs != nullptr) take(one, *runs);
    }
    if (!taken) {
      MILLRACE_ASSIGN(const auto runs, runs_of(one, shard));
      take(one, *runs);
    }
  }
  std::lock_guard lock(shared_.mutex);
  note_hot();
  return found;
}

/// Loads `runs[first]` and as many of the following as one read brings along; `count` says how
/// many.
status log_reader::load_runs(std::vector<located_run>& runs, std::size_t first, std::size_t& count,
                             std::vector<run_bytes>& loaded) const {
  loaded.clear();
  count = 1;
  const located_run& one = runs[first];
  if (one.hot) {
    const std::byte* const bytes = one.hot->data() + (one.run.offset - one.hot_offset);
    loaded.push_back({{bytes, one.run.bytes}, std::make_shared<const block_ref>(one.hot)});
    return {};
  }
  const run_key key{one.in->number, one.run.offset};
  if (auto known = large_runs_.find(key)) {
    loaded.push_back({known->at(one.run.offset, one.run.bytes), known});
    return {};
  }
  std::uint64_t end = one.run.offset + one.run.bytes;
  for (; first + count < runs.size(); ++count) {
    const located_run& next = runs[first + count];
    const std::uint64_t next_end = next.run.offset + next.run.bytes;
    if (next.hot || next.run.offset < end || next.run.offset - end > gap_bytes_max ||
        next_end - one.run.offset > read_bytes_max) {
      break;
    }
    end = next_end;
  }
  auto held = read_range(*one.in, one.run.offset, end);
  if (!held.ok() && count > 1) {
    count = 1;  // another run's sector may be the bad one
    end = one.run.offset + one.run.bytes;
    held = read_range(*one.in, one.run.offset, end);
  }
  if (!held.ok()) return std::move(held).failure();
  for (std::size_t i = 0; i < count; ++i) {
    loaded.push_back({(*held)->at(runs[first + i].run.offset, runs[first + i].run.bytes), *held});
  }
  return {};
}

/// The records of an encrypted run, in memory of their own.
result<log_reader::run_bytes> log_reader::open_run(const run_place& place, byte_view sealed) const {
  if (sealed.size() < sizeof(log_format::run_seal))
    return error(error_code::corrupt, "an encrypted run is too short");
  const std::uint64_t bytes = run_opener::run_bytes(sealed);
  auto memory = std::make_shared<aligned_memory>(allocate_aligned(align_up(bytes, 4096)));
  MILLRACE_TRY(shared_.opener.open(place, sealed, memory->get()));
  const byte_view opened(memory->get(), bytes);
  return run_bytes{opened, std::move(memory)};
}

result<read_chunk> log_reader::read(shard_index shard, record_index from, std::uint64_t bytes_max,
                                    std::uint32_t records_max) const {
  read_chunk chunk;
  std::uint64_t bytes_left = std::max<std::uint64_t>(bytes_max, 1);
  const std::uint64_t bytes_wanted = bytes_left;
  std::uint64_t position_us = 0;
  std::vector<run_bytes> loaded;
  for (int attempt = 0; attempt < attempts_max;) {
    auto found = locate(shard, from, bytes_left);
    if (!found.ok()) {
      if (found.failure().code() != error_code::not_found) return std::move(found).failure();
      ++attempt;
      continue;
    }
    chunk.next = found->from;
    if (found->runs.empty()) break;
    bool again = false;
    for (std::size_t i = 0, count = 0; i < found->runs.size() && !again; i += count) {
      status loading = load_runs(found->runs, i, count, loaded);
      if (!loading.ok()) {
        if (!chunk.records.empty()) break;
        if (loading.failure().code() == error_code::not_found && ++attempt < attempts_max) {
          again = true;
          break;
        }
        return std::move(loading).failure();
      }
      for (std::size_t j = 0; j < count; ++j) {
        const stored_run& run = found->runs[i + j].run;
        const record_index start(run.first_index);
        const std::size_t before = chunk.records.size();
        const std::uint64_t left_before = bytes_left;
        const bool is_whole = crc32c(loaded[j].bytes) == run.crc;
        const run_facts facts{.shard = shard,
                              .first = start,
                              .record_count = run.record_count,
                              .arrival_us = run.arrival_us,
                              .is_encrypted = run.cipher != log_format::cipher_none};
        run_bytes plain = loaded[j];
        if (is_whole && facts.is_encrypted) {
          auto opened = open_run({shared_.stream, shard, start, run.record_count}, plain.bytes);
          // Not to be passed over like damage: with the right key it is there.
          if (!opened.ok() && chunk.records.empty()) return std::move(opened).failure();
          if (!opened.ok()) {
            i = found->runs.size();
            break;
          }
          plain = *std::move(opened);
        }
        if (!is_whole || !parse_run(plain.bytes, facts, std::max(from, found->from), records_max,
                                    bytes_left, chunk.records)) {
          chunk.records.erase(chunk.records.begin() + static_cast<std::ptrdiff_t>(before),
                              chunk.records.end());
          bytes_left = left_before;
          ++shared_.blocks_damaged;
          chunk.next = start.next(run.record_count);
          continue;
        }
        position_us = run.arrival_us;
        if (chunk.records.size() > before) {
          chunk.keep_alive.push_back(plain.owner);
          chunk.next = chunk.records.back().index.next();
        }
        if (!found->runs[i + j].hot && !ends_before(run, chunk.next)) {
          // The reader comes back for the rest of it.
          large_runs_.insert({found->runs[i + j].in->number, run.offset},
                             std::static_pointer_cast<const held_memory>(loaded[j].owner),
                             run.bytes);
        }
        if (chunk.records.size() >= records_max || bytes_left == 0) {
          i = found->runs.size();
          break;
        }
      }
    }
    if (again) continue;
    if (!chunk.records.empty() || chunk.next >= found->end) {
      const bool caught_up = chunk.next >= found->end;
      chunk.behind_us =
          caught_up || position_us > found->newest_us ? 0 : found->newest_us - position_us;
      break;
    }
    if (chunk.next <= from) break;
    from = chunk.next;  // all that was found is damaged: go on after it
  }
  shared_.record_bytes_read += bytes_wanted - std::min(bytes_wanted, bytes_left);
  return chunk;
}

result<record_index> log_reader::find_time(shard_index shard, std::uint64_t arrival_us) const {
  std::shared_ptr<const segment_list> list;
  log_shared::shard_bounds bounds;
  const auto first_at = [&](const shard_runs& known) -> std::optional<record_index> {
    const auto run =
        std::partition_point(known.runs.begin(), known.runs.end(),
                             [&](const auto& one) { return one.arrival_us < arrival_us; });
    if (run == known.runs.end()) return std::nullopt;
    return std::max(record_index(run->first_index), bounds.horizon);
  };
  {
    std::lock_guard lock(shared_.mutex);
    const auto known = shared_.shards.find(shard);
    if (known == shared_.shards.end()) return record_index{};
    bounds = known->second;
    list = shared_.segments;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto& one = (*list)[i];
    if (i + 1 == list->size()) {
      std::lock_guard lock(shared_.mutex);
      if (one->memory != nullptr) {
        const shard_runs* const runs = one->memory->find(shard);
        const auto index = runs != nullptr ? first_at(*runs) : std::nullopt;
        return index ? *index : bounds.end;
      }
    }
    if (one->newest_us < arrival_us) continue;
    MILLRACE_ASSIGN(const auto runs, runs_of(one, shard));
    if (const auto index = first_at(*runs)) return *index;
    if (runs->end >= bounds.end) break;
  }
  return bounds.end;
}

}  // namespace millrace
