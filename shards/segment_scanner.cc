#include "shards/segment_scanner.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "base/crc32c.h"

namespace millrace {

using namespace log_format;

namespace {

constexpr std::uint64_t small_window_bytes = 64 * 1024;
constexpr std::uint64_t large_window_bytes = 1024 * 1024;

bool is_zero(byte_view bytes) {
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

segment_scanner::segment_scanner(const file& from, std::uint64_t incarnation, std::uint64_t limit)
    : file_(from), incarnation_(incarnation), limit_(limit) {
  const auto bytes = from.size();
  if (bytes.ok()) {
    file_bytes_ = *bytes;
  } else {
    failure_ = bytes.failure();
    failed_offset_ = limit;
  }
}

byte_view segment_scanner::view(window& in, std::uint64_t offset, std::uint64_t bytes) {
  if (bytes > file_bytes_ || offset > file_bytes_ - bytes) return {};
  // The front never comes from the back's window, which is loaded anew while the front is in use.
  for (const window* const one : {&std::as_const(front_), &std::as_const(in)}) {
    if (one->holds(offset, bytes)) return {one->memory.get() + (offset - one->from), bytes};
  }
  const std::uint64_t from = offset / alignment * alignment;
  const bool sequential = in.bytes != 0 && offset >= in.from && from <= in.from + in.bytes;
  const std::uint64_t least = align_up(offset + bytes, alignment) - from;
  std::uint64_t wanted = std::max(least, sequential ? large_window_bytes : small_window_bytes);
  if (in.capacity < wanted) {
    in.memory = allocate_aligned(wanted);
    in.capacity = wanted;
  }
  // A bad sector must cost no more than what was asked for.
  for (const std::uint64_t size : {wanted, least}) {
    in.from = from;
    in.bytes = std::min(size, file_bytes_ - from);
    status read = file_.read_at(from, {in.memory.get(), in.bytes});
    if (read.ok()) {
      bytes_read_ += in.bytes;
      return {in.memory.get() + (offset - from), bytes};
    }
    if (size == least) {
      failure_ = std::move(read).failure();
      failed_offset_ = std::max(failed_offset_, offset);
    }
  }
  in.bytes = 0;
  return {};
}

std::optional<block_header> segment_scanner::header_at(std::uint64_t offset) {
  if (offset + sizeof(block_header) > limit_) return std::nullopt;
  const byte_view bytes = view(front_, offset, sizeof(block_header));
  if (bytes.empty()) return std::nullopt;
  const auto header = parse_block_header(bytes);
  if (!header || header->offset != offset || header->block_bytes > limit_ - offset) {
    return std::nullopt;
  }
  if (incarnation_ != 0 && header->incarnation != incarnation_) return std::nullopt;
  return header;
}

bool segment_scanner::read_meta(const block_header& header, block_meta& into, const char*& why) {
  const block_layout layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  why = "it cannot be read";
  const std::uint64_t back_bytes = layout.trailer + sizeof(commit_trailer) - layout.order;
  // Two windows: loading the back leaves the front where it is.
  const byte_view front = view(front_, header.offset, layout.runs);
  if (front.empty()) return false;
  const byte_view back = view(back_, header.offset + layout.order, back_bytes);
  if (back.empty()) return false;
  return parse_block_meta(header, front, back, into, why);
}

bool segment_scanner::runs_are_whole(const block_meta& meta) {
  std::uint64_t at = meta.header.offset + meta.layout.runs;
  for (const run_entry& run : meta.runs) {
    std::uint32_t crc = 0;
    for (std::uint64_t done = 0; done < run.bytes;) {
      const std::uint64_t piece = std::min<std::uint64_t>(run.bytes - done, large_window_bytes / 2);
      const byte_view bytes = view(back_, at + done, piece);
      if (bytes.empty()) return false;
      crc = crc32c(bytes, crc);
      done += piece;
    }
    if (crc != run.crc) return false;
    at += run.bytes;
  }
  return true;
}

std::uint64_t segment_scanner::find_block(std::uint64_t offset) {
  const std::uint64_t end = std::min(limit_, file_bytes_);
  while (offset < end) {
    const std::uint64_t data = file_.next_data(offset) / alignment * alignment;
    offset = std::max(offset, data);
    if (offset >= end) break;
    if (header_at(offset)) return offset;
    const byte_view page = view(front_, offset, std::min<std::uint64_t>(alignment, end - offset));
    if (!is_zero(page)) nonzero_end_ = offset + page.size();
    offset += alignment;
  }
  return limit_;
}

status scan_closed(const file& from, std::uint64_t incarnation, std::uint64_t data_start,
                   std::uint64_t end, const scan_events& events) {
  segment_scanner scanner(from, incarnation, end);
  block_meta meta;
  for (std::uint64_t at = data_start; at < end;) {
    const auto header = scanner.header_at(at);
    if (!header) {
      const std::uint64_t next = scanner.find_block(at + alignment);
      events.damaged({from.path(), at, next, "block header is damaged"});
      at = next;
      continue;
    }
    const char* why = "";
    if (scanner.read_meta(*header, meta, why)) {
      events.block(meta);
    } else {
      events.damaged({from.path(), at, at + header->block_bytes, std::string("block: ") + why});
    }
    at += header->block_bytes;
  }
  if (scanner.read_failure()) return error(*scanner.read_failure());
  return {};
}

result<found_end> scan_newest(const file& from, std::uint64_t incarnation, std::uint64_t data_start,
                              const scan_events& events) {
  // What was seen but may still be cut off: beyond the highest durable mark so far.
  struct stretch {
    std::uint64_t from;
    std::uint64_t to;
    std::optional<block_meta> block;  ///< not there: bytes that are no whole block
    std::string why;
  };
  std::deque<stretch> undecided;
  MILLRACE_ASSIGN(const std::uint64_t file_bytes, from.size());
  const std::uint64_t limit = file_bytes / alignment * alignment;
  segment_scanner scanner(from, incarnation, limit);
  const auto settle = [&](const stretch& one) {
    if (one.block) {
      events.block(*one.block);
    } else {
      events.damaged({from.path(), one.from, one.to, one.why});
    }
  };

  std::uint64_t durable = data_start;
  std::uint64_t seen_end = data_start;
  for (std::uint64_t at = data_start; at < limit;) {
    const auto header = scanner.header_at(at);
    if (!header) {
      const std::uint64_t next = scanner.find_block(at);
      if (next == limit) break;
      undecided.push_back({at, next, std::nullopt, "block header is damaged"});
      at = next;
      continue;
    }
    stretch one{at, at + header->block_bytes, block_meta{}, {}};
    const char* why = "";
    if (!scanner.read_meta(*header, *one.block, why)) {
      one.block.reset();
      one.why = std::string("block: ") + why;
    }
    undecided.push_back(std::move(one));
    at += header->block_bytes;
    seen_end = at;
    durable = std::max(durable, std::min(header->durable_mark, header->offset));
    while (!undecided.empty() && undecided.front().from < durable) {
      stretch& front = undecided.front();
      if (!front.block && front.to > durable) {
        // Damage up to the mark; the rest may be a hole that was never acked, and stays in doubt.
        events.damaged({from.path(), front.from, durable, front.why});
        front.from = durable;
        break;
      }
      settle(front);
      undecided.pop_front();
    }
  }
  seen_end = std::max(seen_end, scanner.nonzero_end());

  found_end found{durable, 0};
  for (const stretch& one : undecided) {
    if (!one.block || !scanner.runs_are_whole(*one.block)) break;
    settle(one);
    found.end = one.to;
  }
  if (scanner.read_failure() && scanner.failed_offset() >= durable) {
    return error(*scanner.read_failure());
  }
  found.bytes_cut = seen_end > found.end ? seen_end - found.end : 0;
  return found;
}

}  // namespace millrace
