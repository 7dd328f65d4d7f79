#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/format.h>

#include "api/kinesis_service.h"
#include "api/stored_records.h"
#include "base/clock.h"
#include "base/limits.h"
#include "shards/sequence_number.h"
#include "shards/shard_lineage.h"

namespace millrace {
namespace {

constexpr std::int64_t records_max = 10'000;
constexpr std::uint64_t reply_bytes_max = 10 * limits::mib;

/// "Thu Jan 22 01:22:02 UTC 2015"
std::string java_date(std::uint64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%a %b %d %H:%M:%S UTC %Y", &parts);
  return text.data();
}

kinesis_outcome find_sequence(const action_call& call, const named_stream& stream,
                              const shard_info& shard, const start_position& from,
                              record_index& into) {
  const auto invalid = [&](std::string_view why) {
    return invalid_argument(fmt::format(
        "StartingSequenceNumber {} used in GetShardIterator on shard {} in stream {} under account "
        "{} is invalid{}",
        from.sequence, shard_name(shard.shard), stream.name(), call.service.options.account, why));
  };
  if (from.sequence.empty())
    return invalid_argument(
        fmt::format("Must either specify {} and StartingSequenceNumber, or another type without "
                    "it.",
                    from.type));
  const auto parsed = sequence_number::parse(from.sequence);
  if (!parsed.ok()) return invalid(".");
  if (parsed->shard != shard.shard)
    return invalid_argument(
        fmt::format("Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to "
                    "a shard with {}",
                    shard_name(parsed->shard), shard_name(shard.shard)));
  if (parsed->shard_created_s != shard.created_s)
    return invalid(" because it did not come from this stream.");
  const record_index end = stream.at.log->durable_end(shard.shard);
  into = parsed->index;
  if (from.type == "AFTER_SEQUENCE_NUMBER" && !is_place(*parsed)) into = into.next();
  into = std::min(into, end);  // the number of a closed shard's end lies far behind it
  return std::nullopt;
}

std::uint64_t payload_bytes(const read_chunk& chunk) {
  std::uint64_t bytes = 0;
  for (const stored_record& one : chunk.records)
    bytes += one.record.key().size() + one.record.data().size();
  return bytes;
}

void write_records(wire_writer& out, spare_memory& spare, const read_chunk& chunk,
                   const shard_info& shard) {
  // A record's number, time and names are less than that; base64 makes its data longer.
  constexpr std::size_t fixed_bytes = 192;
  std::size_t bytes = 1024;
  for (const stored_record& one : chunk.records)
    bytes += one.record.record_bytes() + fixed_bytes;
  out.use(spare.take(out.encoding() == wire_encoding::json ? bytes * 4 / 3 : bytes));
  out.begin_map();
  out.name("Records");
  out.begin_list();
  stored_record_writer writer(out, shard.created_s);
  for (const stored_record& one : chunk.records)
    writer.write(one);
  out.end_list();
}

}  // namespace

kinesis_error read_failure(const error& failure) {
  if (failure.code() == error_code::permission)
    return {"KMSAccessDeniedException", failure.message()};
  return translate(failure);
}

void write_child_shards(wire_writer& out, const stream_description& stream, shard_index parent) {
  out.name("ChildShards");
  out.begin_list();
  for (const shard_info& one : stream.shards) {
    if (one.parent != parent && one.adjacent_parent != parent) continue;
    out.begin_map();
    out.plain("ShardId", shard_name(one.shard));
    out.name("ParentShards");
    out.begin_list();
    if (one.parent) out.plain(shard_name(*one.parent));
    if (one.adjacent_parent) out.plain(shard_name(*one.adjacent_parent));
    out.end_list();
    write_hash_range(out, one);
    out.end_map();
  }
  out.end_list();
}

kinesis_outcome find_position(const action_call& call, const named_stream& stream,
                              const shard_info& shard, const start_position& from,
                              record_index& into) {
  const stream_log& log = *stream.at.log;
  if (from.type.ends_with("_SEQUENCE_NUMBER"))
    return find_sequence(call, stream, shard, from, into);
  if (from.type == "TRIM_HORIZON") {
    into = log.trim_horizon(shard.shard);
  } else if (from.type == "LATEST") {
    into = log.durable_end(shard.shard);
  } else {
    if (from.time == nullptr)
      return invalid_argument(
          "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current "
          "request has no timestamp parameter.");
    const std::uint64_t when_us = time_of(*from.time, call.out.encoding());
    if (when_us > call.now_us)
      return invalid_argument(fmt::format(
          "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
          "timestampInMillis: {}, currentTimestampInMillis: {}",
          when_us / 1000, call.now_us / 1000));
    const auto found = log.find_time(shard.shard, when_us);
    if (!found.ok()) return translate(found.failure());
    into = *found;
  }
  return std::nullopt;
}

kinesis_outcome get_shard_iterator(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, stream));
  const shard_info* shard = nullptr;
  MILLRACE_KINESIS_TRY(find_shard(call, stream, call.text("ShardId"), shard));
  quota_book* const quotas = call.service.quotas;
  if (quotas != nullptr && !quotas->take_iterator(stream.id(), shard->shard, monotonic_us()))
    return throughput_exceeded(call.service.options, stream.name(), shard->shard);
  const start_position from{.type = call.text("ShardIteratorType"),
                            .sequence = call.text("StartingSequenceNumber"),
                            .time = call.find("Timestamp")};
  const bool by_sequence = from.type.ends_with("_SEQUENCE_NUMBER");
  if (!by_sequence && !from.sequence.empty())
    return invalid_argument(fmt::format(
        "Must either specify (1) {} and no StartingSequenceNumber or (2) AT_SEQUENCE_NUMBER or "
        "AFTER_SEQUENCE_NUMBER and StartingSequenceNumber. Request specified {} and also a "
        "StartingSequenceNumber.",
        from.type, from.type));
  record_index next{};
  MILLRACE_KINESIS_TRY(find_position(call, stream, *shard, from, next));
  if (call.truth("DryRun"))
    return kinesis_error{"DryRunOperationException", "The request would have succeeded."};
  call.out.begin_map();
  call.out.plain("ShardIterator",
                 call.service.tokens.make(shard_position{.created_ms = call.now_us / 1000,
                                                         .stream = stream.id(),
                                                         .shard = shard->shard,
                                                         .next = next}));
  call.out.end_map();
  return std::nullopt;
}

kinesis_outcome get_records(action_call& call) {
  const auto token = call.service.tokens.read_iterator(call.text("ShardIterator"));
  if (!token.ok()) return invalid_argument("Invalid ShardIterator.");
  const std::uint64_t now_ms = call.now_us / 1000;
  if (token->created_ms + token_lifetime_ms < now_ms)
    return kinesis_error{
        "ExpiredIteratorException",
        fmt::format("Iterator expired. The iterator was created at time {} while right now it is "
                    "{} which is further in the future than the tolerated delay of {} "
                    "milliseconds.",
                    java_date(token->created_ms), java_date(now_ms), token_lifetime_ms)};
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, token->stream, stream));
  const shard_info* const shard = stream.find_shard(token->shard);
  if (shard == nullptr) return no_such_shard(call, stream, shard_name(token->shard));
  MILLRACE_KINESIS_TRY(check_stream_key(call, stream));
  if (call.truth("DryRun"))
    return kinesis_error{"DryRunOperationException", "The request would have succeeded."};

  quota_book* const quotas = call.service.quotas;
  if (quotas != nullptr && !quotas->take_read(stream.id(), shard->shard, monotonic_us()))
    return throughput_exceeded(call.service.options, stream.name(), shard->shard);
  const auto limit = static_cast<std::uint32_t>(call.integer("Limit", records_max));
  auto chunk = stream.at.log->read(shard->shard, token->next, reply_bytes_max, limit);
  if (!chunk.ok()) return read_failure(chunk.failure());
  if (quotas != nullptr) quotas->charge_read(stream.id(), shard->shard, payload_bytes(*chunk));
  const record_index next = std::max(chunk->next, token->next);
  if (call.end != nullptr && chunk->records.empty() && chunk->behind_us == 0 && shard->is_open())
    *call.end = {.stream = stream.id(), .shard = shard->shard, .next = next, .log = stream.at.log};
  wire_writer& out = call.out;
  write_records(out, call.service.spare, *chunk, *shard);
  out.integer("MillisBehindLatest", static_cast<std::int64_t>(chunk->behind_us / 1000));
  if (!shard->is_open() && next >= stream.at.log->durable_end(shard->shard)) {
    write_child_shards(out, *stream.at.description, shard->shard);
  } else {
    out.plain(
        "NextShardIterator",
        call.service.tokens.make(shard_position{
            .created_ms = now_ms, .stream = stream.id(), .shard = shard->shard, .next = next}));
  }
  out.end_map();
  return std::nullopt;
}

}  // namespace millrace
