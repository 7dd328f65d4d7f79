// Walks the durable blocks of a log in order, from memory or from the disk.
#include <algorithm>

#include "base/crc32c.h"
#include "shards/block_reader.h"
#include "shards/log_reader.h"
#include "shards/segment_scanner.h"

namespace millrace {

using namespace log_format;

namespace {

/// A retention drop may take a segment away between finding a position and reading it.
constexpr int attempts_max = 8;

/// Of a block that was built here and never left the memory.
void take_hot_runs(const hot_tail::block& hot, log_block& block) {
  const std::byte* const bytes = hot.buffer->data();
  const auto header = load<block_header>(bytes);
  std::uint64_t at = sizeof header + std::uint64_t{header.run_count} * sizeof(run_entry);
  block.arrival_us = header.arrival_us;
  block.record_bytes = header.payload_bytes;
  block.runs.reserve(header.run_count);
  for (std::uint32_t i = 0; i < header.run_count; ++i) {
    const auto run = load<run_entry>(bytes + sizeof header + std::size_t{i} * sizeof(run_entry));
    block.runs.push_back({shard_index(run.shard), record_index(run.first_index), run.record_count,
                          byte_view(bytes + at, run.bytes)});
    at += run.bytes;
  }
  block.keep_alive = std::make_shared<const block_ref>(hot.buffer);
  block.device = hot.device;
}

}  // namespace

void log_reader::report(const segment& one, std::uint64_t from, std::uint64_t to, std::string what,
                        block_step& step) const {
  ++shared_.blocks_damaged;
  step.damaged.push_back({one.path, from, to, std::move(what)});
}

/// Moves `at` to where the next block starts. Without a segment: there is none.
result<log_reader::block_source> log_reader::find_block(log_position& at, block_step& step) const {
  std::lock_guard lock(shared_.mutex);
  const segment_list& list = *shared_.segments;
  step.newest_us = shared_.newest_us;
  const auto beyond = [&at] {
    return error(error_code::corrupt, "position " + std::to_string(at.segment.value) + ":" +
                                          std::to_string(at.offset) + " is beyond the log's end");
  };
  if (list.empty()) {
    if (at != log_position{}) return beyond();
    return block_source{};
  }
  const bool from_start = at.segment.value == 0;
  auto found = std::partition_point(list.begin(), list.end(),
                                    [&at](const auto& one) { return one->number < at.segment; });
  if (found == list.end()) return beyond();
  if ((*found)->number != at.segment) {
    const segment& next = **found;
    const bool all_read = at.segment == next.predecessor && at.offset >= next.predecessor_end;
    step.dropped = step.dropped || (found == list.begin() && !from_start && !all_read);
    at = {next.number, next.data_start};
  } else if (at.offset > (*found)->end) {
    return beyond();
  }
  at.offset = std::max(at.offset, (*found)->data_start);
  while (at.offset >= (*found)->end && std::next(found) != list.end()) {
    ++found;
    at = {(*found)->number, (*found)->data_start};
  }
  block_source source{*found, (*found)->end, {}};
  const hot_tail::block* const hot = shared_.hot.find(at.segment, at.offset);
  if (hot != nullptr && hot->offset == at.offset) source.hot = *hot;
  return source;
}

/// Moves on to the next whole header.
status log_reader::pass_damage(const segment& one, std::uint64_t end, std::string what,
                               log_position& at, block_step& step) const {
  MILLRACE_ASSIGN(const std::shared_ptr<const file> from, open_segment(one));
  segment_scanner scanner(*from, one.incarnation, end);
  const std::uint64_t next = std::min(scanner.find_block(at.offset + alignment), end);
  shared_.disk_bytes_read += scanner.bytes_read();
  report(one, at.offset, next, std::move(what), step);
  at.offset = next;
  return {};
}

/// Reads the block at `at` from the disk, moves `at` behind it, and puts it into `step` if it has
/// whole runs.
status log_reader::read_block(const block_source& from, bool pass_unreadable, log_position& at,
                              block_step& step) const {
  const segment& one = *from.in;
  const std::uint64_t start = at.offset;
  const auto failed = [&](error why, std::uint64_t next) -> status {
    if (why.code() == error_code::not_found || !pass_unreadable) return why;
    if (next == 0) return pass_damage(one, from.end, why.message(), at, step);
    report(one, start, next, why.message(), step);
    at.offset = next;
    return {};
  };
  const std::uint64_t first_bytes = std::min<std::uint64_t>(alignment, from.end - start);
  auto head = read_range(one, start, start + first_bytes);
  if (!head.ok()) return failed(std::move(head).failure(), 0);
  const auto header = parse_block_header((*head)->at(start, first_bytes));
  if (!header || header->offset != start || header->incarnation != one.incarnation ||
      header->block_bytes > from.end - start) {
    return pass_damage(one, from.end, "block header is damaged", at, step);
  }
  const std::uint64_t end = start + header->block_bytes;
  std::shared_ptr<const held_memory> held = *std::move(head);
  if (header->block_bytes > first_bytes) {
    auto whole = read_range(one, start, end);
    if (!whole.ok()) return failed(std::move(whole).failure(), end);
    held = *std::move(whole);
  }
  at.offset = end;
  take_runs(one, *header, std::move(held), step);
  return {};
}

/// The runs of a block that was read, those that are whole.
void log_reader::take_runs(const segment& one, const block_header& header,
                           std::shared_ptr<const held_memory> held, block_step& step) const {
  const byte_view bytes = held->at(header.offset, header.block_bytes);
  const block_layout layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  block_meta meta;
  const char* why = "";
  if (!parse_block_meta(header, bytes.first(layout.runs), bytes.subspan(layout.order), meta, why)) {
    report(one, header.offset, header.offset + header.block_bytes, std::string("block: ") + why,
           step);
    return;
  }
  log_block block;
  block.at = {one.number, header.offset};
  block.arrival_us = header.arrival_us;
  std::uint64_t at = layout.runs;
  for (const run_entry& run : meta.runs) {
    const byte_view of_run = bytes.subspan(at, run.bytes);
    const bool whole = crc32c(of_run) == run.crc;
    if (whole && holds_records(of_run, run.record_count)) {
      block.runs.push_back(
          {shard_index(run.shard), record_index(run.first_index), run.record_count, of_run});
      block.record_bytes += run.bytes;
    } else {
      report(one, header.offset + at, header.offset + at + run.bytes,
             "shard " + std::to_string(run.shard) + ": records " + std::to_string(run.first_index) +
                 ".." + std::to_string(run.first_index + run.record_count - 1) +
                 (whole ? ": malformed" : ": checksum is wrong"),
             step);
    }
    at += run.bytes;
  }
  if (block.runs.empty()) return;
  block.keep_alive = std::move(held);
  step.block = std::move(block);
}

result<block_step> log_reader::next_block(log_position from, bool pass_unreadable) const {
  block_step step;
  step.next = from;
  for (int attempt = 0; !step.block;) {
    MILLRACE_ASSIGN(const block_source source, find_block(step.next, step));
    if (source.in == nullptr || step.next.offset >= source.end) break;
    if (source.hot) {
      log_block block;
      block.at = step.next;
      take_hot_runs(*source.hot, block);
      step.next.offset += source.hot->bytes;
      step.from_memory = true;
      if (!block.runs.empty()) step.block = std::move(block);
      continue;
    }
    step.from_memory = false;
    status read = read_block(source, pass_unreadable, step.next, step);
    if (read.ok()) continue;
    const bool was_dropped = read.failure().code() == error_code::not_found;
    if (!was_dropped || ++attempt == attempts_max) return std::move(read).failure();
  }
  if (step.block) shared_.record_bytes_read += step.block->record_bytes;
  return step;
}

std::uint64_t log_reader::bytes_after(log_position from) const {
  std::lock_guard lock(shared_.mutex);
  std::uint64_t bytes = 0;
  const segment_list& list = *shared_.segments;
  for (auto one = list.rbegin(); one != list.rend() && (*one)->number >= from.segment; ++one) {
    const std::uint64_t start = (*one)->number == from.segment
                                    ? std::max(from.offset, (*one)->data_start)
                                    : (*one)->data_start;
    bytes += (*one)->end - std::min(start, (*one)->end);
  }
  return bytes;
}

}  // namespace millrace
