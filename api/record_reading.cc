#include "api/record_reading.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "analytics/time_text.h"
#include "api/json_text.h"

namespace millrace {
namespace {

template <class Number>
bool parse_whole(std::string_view text, Number& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && problem == std::errc() && end == text.data() + text.size();
}

std::optional<std::uint64_t> parse_time(std::string_view text) {
  double seconds = 0;
  if (parse_whole(text, seconds) && seconds >= 0 && seconds < 1e11)
    return static_cast<std::uint64_t>(std::llround(seconds * 1e6));
  const auto time_us = parse_instant(text);
  if (!time_us || *time_us < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*time_us);
}

const shard_info* find_shard(const stream_description& stream, shard_index shard) {
  const auto found = std::lower_bound(
      stream.shards.begin(), stream.shards.end(), shard,
      [](const shard_info& info, shard_index wanted) { return info.shard < wanted; });
  return found != stream.shards.end() && found->shard == shard ? &*found : nullptr;
}

error no_such_shard(const stream_description& stream, shard_index shard) {
  return {error_code::not_found,
          fmt::format("stream '{}' has no {}", stream.name, shard_name(shard))};
}

/// "sequence":…,"arrival_us":…,"key":…,"data":…
void append_members(std::string& out, const shard_info& shard, const stored_record& one) {
  const sequence_number sequence{shard.created_s, one.index,
                                 static_cast<std::uint32_t>(one.arrival_us / 1'000'000), one.shard};
  out += "\"sequence\":\"";
  out += sequence.to_string();
  out += "\",\"arrival_us\":";
  out += std::to_string(one.arrival_us);
  out += ",\"key\":";
  append_json_string(out, one.record.key());
  out += ',';
  append_data_member(out, one.record.data());
}

/// One read over all shards of a cursor.
class page_reader {
 public:
  page_reader(const stream_description& stream, const stream_log& log, const read_cursor& from,
              const read_limits& limits)
      : stream_(stream), log_(log), limits_(limits) {
    page_.cursor.one_shard = from.one_shard;
    for (const shard_info& shard : stream.shards) {
      const auto at = from.next.find(shard.shard);
      if (at != from.next.end()) {
        page_.cursor.next.emplace(*at);
      } else if (!from.one_shard) {
        page_.cursor.next.emplace(shard.shard, record_index(0));
      }
    }
  }

  result<read_page> run() {
    bool went_on = true;
    while (went_on && !full()) {
      went_on = false;
      for (auto& [shard, next] : page_.cursor.next) {
        if (full()) break;
        MILLRACE_ASSIGN(const bool got_some, read_shard(*find_shard(stream_, shard), next));
        went_on = went_on || got_some;
      }
    }
    page_.caught_up = !went_on;
    return std::move(page_);
  }

 private:
  bool full() const { return page_.records >= limits_.records || bytes_ >= limits_.bytes; }

  bool is_finished(shard_index shard) const {
    const shard_info* info = find_shard(stream_, shard);
    if (info == nullptr) return true;  // forgotten: its records are gone
    const auto at = page_.cursor.next.find(shard);
    return at == page_.cursor.next.end() ||
           (!info->is_open() && at->second >= log_.durable_end(shard));
  }

  result<bool> read_shard(const shard_info& shard, record_index& next) {
    if (next >= log_.durable_end(shard.shard)) return false;
    if ((shard.parent && !is_finished(*shard.parent)) ||
        (shard.adjacent_parent && !is_finished(*shard.adjacent_parent)))
      return false;
    // A share for each shard, so that a page holds something of all of them.
    const std::uint64_t share =
        std::max<std::uint64_t>(limits_.bytes / page_.cursor.next.size(), 64 * limits::kib);
    MILLRACE_ASSIGN(const read_chunk chunk,
                    log_.read(shard.shard, next, std::min(share, limits_.bytes - bytes_),
                              limits_.records - page_.records));
    std::string head = "{\"stream\":";
    append_json_string(head, stream_.name);
    head += ",\"shard\":\"" + shard_name(shard.shard) + "\",";
    for (const stored_record& one : chunk.records) {
      page_.lines += head;
      append_members(page_.lines, shard, one);
      page_.lines += "}\n";
      bytes_ += one.record.record_bytes();
      ++page_.records;
    }
    const bool moved = chunk.next > next;
    next = std::max(next, chunk.next);
    return moved;
  }

  const stream_description& stream_;
  const stream_log& log_;
  const read_limits limits_;
  read_page page_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

result<shard_index> parse_shard_name(std::string_view text) {
  constexpr std::string_view prefix = "shardId-";
  std::uint32_t number = 0;
  if (!parse_whole(text.starts_with(prefix) ? text.substr(prefix.size()) : text, number))
    return error(error_code::invalid_argument,
                 fmt::format("shard '{}' is not shardId-N or N", text));
  return shard_index(number);
}

std::string read_cursor::to_text() const {
  std::string out = one_shard ? "=" : "";
  for (const auto& [shard, index] : next)
    out += fmt::format("{}{}:{}", out.size() > (one_shard ? 1u : 0u) ? "," : "", shard.value,
                       index.value);
  return out;
}

result<read_cursor> read_cursor::parse(std::string_view text) {
  const error bad(error_code::invalid_argument, "the cursor is not one that this server gave");
  read_cursor cursor;
  cursor.one_shard = text.starts_with('=');
  if (cursor.one_shard) text.remove_prefix(1);
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const std::size_t colon = std::min(item.find(':'), item.size());
    std::uint32_t shard = 0;
    std::uint64_t index = 0;
    if (!parse_whole(item.substr(0, colon), shard) ||
        !parse_whole(item.substr(std::min(colon + 1, item.size())), index))
      return bad;
    cursor.next[shard_index(shard)] = record_index(index);
  }
  if (cursor.one_shard && cursor.next.empty()) return bad;
  return cursor;
}

result<read_cursor> cursor_from(std::string_view from, std::optional<shard_index> shard,
                                const stream_description& stream, const stream_log& log) {
  if (shard && find_shard(stream, *shard) == nullptr) return no_such_shard(stream, *shard);
  read_cursor cursor;
  cursor.one_shard = shard.has_value();

  // Longer than any time, and all digits: a sequence number, which names its shard itself.
  if (from.size() > 20 && from.find_first_not_of("0123456789") == std::string_view::npos) {
    MILLRACE_ASSIGN(const sequence_number sequence, sequence_number::parse(from));
    if (find_shard(stream, sequence.shard) == nullptr)
      return no_such_shard(stream, sequence.shard).with_context("sequence number");
    if (shard && *shard != sequence.shard)
      return error(error_code::invalid_argument,
                   fmt::format("the sequence number is of {}, not of {}",
                               shard_name(sequence.shard), shard_name(*shard)));
    cursor.one_shard = true;
    cursor.next[sequence.shard] = sequence.index;
    return cursor;
  }

  const bool horizon = from == "trim-horizon";
  const bool latest = from == "latest";
  const auto time_us = horizon || latest ? std::nullopt : parse_time(from);
  if (!horizon && !latest && !time_us)
    return error(error_code::invalid_argument,
                 fmt::format("'{}' is not trim-horizon, latest, a sequence number, or a time such "
                             "as 1767225600 or 2026-01-01T00:00:00Z",
                             from));
  for (const shard_info& info : stream.shards) {
    if (shard && info.shard != *shard) continue;
    record_index at{};
    if (latest) at = log.durable_end(info.shard);
    if (time_us) {
      MILLRACE_ASSIGN(at, log.find_time(info.shard, *time_us));
    }
    cursor.next[info.shard] = at;
  }
  return cursor;
}

bool append_record_members(std::string& out, const stream_description& stream,
                           const stream_log& log, shard_index shard, record_index index) {
  const shard_info* info = find_shard(stream, shard);
  if (info == nullptr) return false;
  const auto chunk = log.read(shard, index, 1, 1);
  if (!chunk.ok() || chunk->records.empty() || chunk->records[0].index != index) return false;
  append_members(out, *info, chunk->records[0]);
  return true;
}

result<read_page> read_records(const stream_description& stream, const stream_log& log,
                               const read_cursor& from, const read_limits& limits) {
  return page_reader(stream, log, from, limits).run();
}

}  // namespace millrace
