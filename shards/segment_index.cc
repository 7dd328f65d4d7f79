#include "shards/segment_index.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/endian.h"
#include "shards/aligned_buffer.h"

namespace millrace {
namespace {

using namespace log_format;

byte_view bytes_of(const std::vector<stored_run>& runs) {
  return std::as_bytes(std::span(runs.data(), runs.size()));
}

}  // namespace

void memory_index::start_shard(shard_index shard, record_index next) {
  shard_runs& known = shards_[shard];
  known.first = next;
  known.end = next;
}

void memory_index::add_block(std::uint64_t offset, std::uint32_t bytes) {
  blocks_.push_back({offset, bytes});
}

void memory_index::add_run(shard_index shard, const stored_run& run) {
  shard_runs& known = shards_[shard];
  // Nothing known of the shard, because the snapshot is damaged: it starts here.
  if (known.runs.empty() && known.end.value == 0) known.first = record_index(run.first_index);
  known.runs.push_back(run);
  known.end = record_index(run.first_index + run.record_count);
  ++run_count_;
}

const shard_runs* memory_index::find(shard_index shard) const {
  const auto found = shards_.find(shard);
  return found == shards_.end() ? nullptr : &found->second;
}

std::vector<std::byte> encode_index(const memory_index& index, const index_summary& summary) {
  std::vector<shard_index> order;
  order.reserve(index.shards().size());
  for (const auto& [shard, runs] : index.shards())
    order.push_back(shard);
  std::sort(order.begin(), order.end());

  const auto page_count = static_cast<std::uint32_t>((order.size() + directory_page_entries - 1) /
                                                     directory_page_entries);
  const std::uint64_t pages_offset = directory_offset(page_count);
  std::uint64_t at = pages_offset + page_count * sizeof(directory_page);
  std::vector<std::byte> bytes(at + index.run_count() * sizeof(stored_run));

  for (std::size_t page = 0; page < page_count; ++page) {
    directory_page directory{};
    const std::size_t first = page * directory_page_entries;
    const std::size_t count = std::min<std::size_t>(directory_page_entries, order.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      const shard_runs& known = *index.find(order[first + i]);
      const byte_view runs = bytes_of(known.runs);
      directory.entries[i] = {known.first.value,
                              known.end.value,
                              at,
                              order[first + i].value,
                              static_cast<std::uint32_t>(known.runs.size()),
                              crc32c(runs),
                              0};
      std::copy(runs.begin(), runs.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
      at += runs.size();
    }
    directory.entry_count = static_cast<std::uint32_t>(count);
    directory.crc =
        crc32c(std::as_bytes(std::span(&directory, 1)).first(offsetof(directory_page, crc)));
    store(bytes.data() + pages_offset + page * sizeof directory, directory);
    store(bytes.data() + sizeof(index_header) + page * 4, order[first].value);
  }

  index_header header{};
  header.magic = index_magic;
  header.version = version;
  header.segment = summary.segment.value;
  header.incarnation = summary.incarnation;
  header.segment_end = summary.segment_end;
  header.oldest_us = summary.oldest_us;
  header.newest_us = summary.newest_us;
  header.run_count = index.run_count();
  header.block_count = summary.block_count;
  header.shard_count = static_cast<std::uint32_t>(order.size());
  header.page_count = page_count;
  store(bytes.data(), header);
  header.crc = crc32c({bytes.data(), pages_offset});
  store(bytes.data(), header);
  bytes.resize(align_up(bytes.size(), alignment));
  return bytes;
}

error disk_index::damaged(const char* why) const {
  return {error_code::corrupt, path_ + ": " + why};
}

result<std::shared_ptr<const disk_index>> disk_index::open(file_system& files,
                                                           const std::string& path) {
  MILLRACE_ASSIGN(const std::unique_ptr<file> from, files.open(path, open_mode::read));
  std::shared_ptr<disk_index> opened(new disk_index(files, path));
  aligned_memory memory = allocate_aligned(alignment);
  mutable_byte_view head(memory.get(), alignment);
  const error unfinished(error_code::not_found, path + ": was never finished");
  MILLRACE_ASSIGN(const std::uint64_t file_bytes, from->size());
  if (file_bytes < alignment) return unfinished;
  MILLRACE_TRY(from->read_at(0, head));
  auto header = load<index_header>(head.data());
  if (header.magic == 0) return unfinished;
  if (header.magic != index_magic || header.version != version ||
      header.page_count > directory_pages_max) {
    return opened->damaged("the index header is damaged");
  }
  if (directory_offset(header.page_count) > head.size()) {
    memory = allocate_aligned(directory_offset(header.page_count));
    head = {memory.get(), directory_offset(header.page_count)};
    MILLRACE_TRY(from->read_at(0, head));
  }
  const std::uint32_t crc = header.crc;
  header.crc = 0;
  store(head.data(), header);
  if (crc != crc32c(head)) return opened->damaged("the index header is damaged");
  opened->summary_ = {segment_number(header.segment),
                      header.incarnation,
                      header.segment_end,
                      header.oldest_us,
                      header.newest_us,
                      header.block_count};
  opened->pages_offset_ = directory_offset(header.page_count);
  for (std::uint32_t i = 0; i < header.page_count; ++i) {
    opened->fences_.push_back(
        load<std::uint32_t>(head.data() + sizeof(index_header) + std::size_t{i} * 4));
  }
  return std::shared_ptr<const disk_index>(std::move(opened));
}

result<directory_page> disk_index::read_page(const file& from, std::uint32_t page,
                                             std::uint64_t& bytes_read) const {
  const aligned_memory memory = allocate_aligned(sizeof(directory_page));
  const mutable_byte_view bytes(memory.get(), sizeof(directory_page));
  MILLRACE_TRY(from.read_at(pages_offset_ + std::uint64_t{page} * sizeof(directory_page), bytes));
  bytes_read += bytes.size();
  const auto directory = load<directory_page>(bytes.data());
  if (directory.crc != crc32c(bytes.first(offsetof(directory_page, crc))) ||
      directory.entry_count > directory_page_entries) {
    return damaged("a directory page is damaged");
  }
  return directory;
}

result<shard_runs> disk_index::read_shard(shard_index shard, std::uint64_t& bytes_read) const {
  const auto after = std::upper_bound(fences_.begin(), fences_.end(), shard.value);
  if (after == fences_.begin()) return shard_runs{};
  MILLRACE_ASSIGN(const std::unique_ptr<file> from, files_.open(path_, open_mode::read));
  const auto page = static_cast<std::uint32_t>(after - fences_.begin() - 1);
  MILLRACE_ASSIGN(const directory_page directory, read_page(*from, page, bytes_read));
  const auto* const end = directory.entries + directory.entry_count;
  const auto* const found = std::lower_bound(
      directory.entries, end, shard.value,
      [](const directory_entry& entry, std::uint32_t wanted) { return entry.shard < wanted; });
  if (found == end || found->shard != shard.value) return shard_runs{};

  shard_runs known{record_index(found->first_index), record_index(found->end_index), {}};
  known.runs.resize(found->run_count);
  if (found->run_count == 0) return known;
  // Whole sectors, so that no more than these is read.
  const std::uint64_t step = std::max<std::uint32_t>(from->read_alignment(), 1);
  const std::uint64_t start = found->runs_offset / step * step;
  const std::uint64_t runs_bytes = known.runs.size() * sizeof(stored_run);
  const std::uint64_t stop = (found->runs_offset + runs_bytes + step - 1) / step * step;
  const aligned_memory memory = allocate_aligned(stop - start);
  MILLRACE_TRY(from->read_at(start, {memory.get(), stop - start}));
  bytes_read += stop - start;
  const std::byte* const runs = memory.get() + (found->runs_offset - start);
  if (found->runs_crc != crc32c({runs, runs_bytes})) return damaged("a shard's runs are damaged");
  std::memcpy(known.runs.data(), runs, runs_bytes);
  return known;
}

result<std::vector<std::pair<shard_index, record_index>>> disk_index::read_starts(
    std::uint64_t& bytes_read) const {
  std::vector<std::pair<shard_index, record_index>> starts;
  if (fences_.empty()) return starts;
  MILLRACE_ASSIGN(const std::unique_ptr<file> from, files_.open(path_, open_mode::read));
  for (std::uint32_t page = 0; page < fences_.size(); ++page) {
    MILLRACE_ASSIGN(const directory_page directory, read_page(*from, page, bytes_read));
    for (std::uint32_t i = 0; i < directory.entry_count; ++i) {
      starts.emplace_back(shard_index(directory.entries[i].shard),
                          record_index(directory.entries[i].first_index));
    }
  }
  return starts;
}

status disk_index::check(std::uint64_t& bytes_read) const {
  MILLRACE_ASSIGN(const auto starts, read_starts(bytes_read));
  for (const auto& [shard, first] : starts)
    MILLRACE_TRY(read_shard(shard, bytes_read));
  return {};
}

}  // namespace millrace
