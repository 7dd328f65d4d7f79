// Where a producer's records went, from the commit entries and order columns of the newest blocks.
#include <algorithm>

#include "shards/block_reader.h"
#include "shards/log_reader.h"
#include "shards/segment_scanner.h"

namespace millrace {

using namespace log_format;

struct log_reader::results_search {
  producer_id producer;
  std::uint64_t first = 0;
  std::vector<std::optional<stream_log::record_place>> places;
  std::size_t missing = 0;
  bool passed =
      false;  ///< a block had records of the producer before `first`: older ones have no more
  std::uint32_t blocks_left = limits::results_blocks_max;
};

namespace {

/// Notes the places of `entry`'s records; `at` is the entry's first record in batch order.
void note_places(const block_meta& meta, const commit_entry& entry, std::uint32_t at,
                 std::uint64_t first, std::vector<std::optional<stream_log::record_place>>& places,
                 std::size_t& missing) {
  // A record's rank is the number of records before it that went to the same run.
  std::vector<std::uint64_t> next(meta.runs.size());
  for (std::uint32_t i = 0; i < at; ++i)
    ++next[meta.run_of(i)];
  for (std::uint32_t i = 0; i < entry.record_count; ++i) {
    const run_entry& run = meta.runs[meta.run_of(at + i)];
    const std::uint64_t index = run.first_index + next[meta.run_of(at + i)]++;
    const std::uint64_t number = entry.first_record + i;
    if (number < first || number - first >= places.size()) continue;
    auto& place = places[number - first];
    if (place) continue;
    --missing;
    place = stream_log::record_place{
        {run.created_s, record_index(index),
         static_cast<std::uint32_t>(meta.header.arrival_us / 1'000'000), shard_index(run.shard)}};
  }
}

}  // namespace

status log_reader::search_block(const segment& one, std::uint64_t offset,
                                results_search& search) const {
  MILLRACE_ASSIGN(const std::shared_ptr<const file> from, open_segment(one));
  MILLRACE_ASSIGN(const std::uint64_t limit, from->size());
  segment_scanner scanner(*from, one.incarnation, limit);
  const auto header = scanner.header_at(offset);
  block_meta meta;
  const char* why = "";
  const bool whole = header && scanner.read_meta(*header, meta, why);
  shared_.disk_bytes_read += scanner.bytes_read();
  if (!whole) {
    ++shared_.blocks_damaged;
    return {};
  }
  std::uint32_t at = 0;
  for (const commit_entry& entry : meta.entries) {
    const producer_id producer(make_uint128(entry.producer_high, entry.producer_low));
    if (producer == search.producer && entry.record_count != 0) {
      const std::uint64_t end = entry.first_record + entry.record_count;
      if (entry.first_record < search.first + search.places.size() && end > search.first) {
        note_places(meta, entry, at, search.first, search.places, search.missing);
      }
      if (entry.first_record <= search.first) search.passed = true;
    }
    at += entry.record_count;
  }
  return {};
}

result<std::shared_ptr<const log_reader::block_offsets>> log_reader::blocks_of(
    const segment& one) const {
  constexpr std::size_t count_max = limits::results_blocks_max;
  auto offsets = std::make_shared<block_offsets>();
  std::uint64_t end = 0;
  {
    std::lock_guard lock(shared_.mutex);
    end = one.end;
    if (one.memory != nullptr) {
      const auto& blocks = one.memory->blocks();
      for (std::size_t i = blocks.size() - std::min(blocks.size(), count_max); i < blocks.size();
           ++i)
        offsets->push_back(blocks[i].offset);
      return std::shared_ptr<const block_offsets>(std::move(offsets));
    }
  }
  // After a crash many producers ask about the same segment, and it does not change any more.
  if (auto known = blocks_.find(one.number)) return known;
  MILLRACE_ASSIGN(const std::shared_ptr<const file> from, open_segment(one));
  segment_scanner scanner(*from, one.incarnation, end);
  for (std::uint64_t at = one.data_start; at < end;) {
    const auto header = scanner.header_at(at);
    if (header) offsets->push_back(at);
    at = header ? at + header->block_bytes : scanner.find_block(at + alignment);
  }
  shared_.disk_bytes_read += scanner.bytes_read();
  offsets->erase(offsets->begin(), offsets->end() - static_cast<std::ptrdiff_t>(
                                                        std::min(offsets->size(), count_max)));
  blocks_.insert(one.number, offsets, 1 + offsets->size());
  return std::shared_ptr<const block_offsets>(std::move(offsets));
}

result<std::vector<stream_log::record_place>> log_reader::find_results(producer_id producer,
                                                                       record_number first,
                                                                       std::uint32_t count) const {
  results_search search{producer, first.value, {}, count, false, limits::results_blocks_max};
  search.places.resize(count);
  std::shared_ptr<const segment_list> list;
  {
    std::lock_guard lock(shared_.mutex);
    list = shared_.segments;
  }
  // Every start of the program begins a segment: the bound is on blocks, not on segments.
  for (std::size_t i = list->size();
       i-- > 0 && search.missing != 0 && !search.passed && search.blocks_left != 0;) {
    const segment& one = *(*list)[i];
    MILLRACE_ASSIGN(const auto blocks, blocks_of(one));
    for (auto at = blocks->rbegin();
         at != blocks->rend() && search.missing != 0 && !search.passed && search.blocks_left != 0;
         ++at, --search.blocks_left) {
      MILLRACE_TRY(search_block(one, *at, search));
    }
  }
  if (search.missing != 0) {
    return error(error_code::not_found, "results of " + std::to_string(search.missing) + " of " +
                                            std::to_string(count) + " records from number " +
                                            std::to_string(first.value) +
                                            " are no longer in the newest blocks");
  }
  std::vector<stream_log::record_place> places;
  places.reserve(count);
  for (const auto& place : search.places)
    places.push_back(*place);
  return places;
}

}  // namespace millrace
