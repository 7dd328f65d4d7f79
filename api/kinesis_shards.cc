#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "api/kinesis_service.h"
#include "api/put_builder.h"
#include "base/clock.h"
#include "base/limits.h"
#include "shards/shard_lineage.h"

namespace millrace {
namespace {

constexpr std::int64_t shards_a_page = 1000;
constexpr std::uint32_t shard_count_max = 10'000;

/// A ShardFilter, as something to ask of a shard.
struct shard_filter {
  std::string type = "FROM_TRIM_HORIZON";
  std::optional<shard_index> after;
  std::uint64_t time_s = 0;

  bool takes(const shard_info& shard, const stream_log& log) const {
    const bool is_readable =
        shard.is_open() || log.durable_end(shard.shard) > log.trim_horizon(shard.shard);
    if (after && shard.shard <= *after) return false;
    if (type == "AT_LATEST") return shard.is_open();
    if (type == "AT_TRIM_HORIZON") return is_readable && is_oldest(shard, log);
    const bool was_open_at =
        shard.created_s <= time_s && (!shard.closed_s || *shard.closed_s > time_s);
    if (type == "AT_TIMESTAMP") return was_open_at;
    if (type == "FROM_TIMESTAMP") return was_open_at || shard.created_s > time_s;
    return true;
  }

  /// Nothing of the shard's parents can be read any more, or it has none.
  bool is_oldest(const shard_info& shard, const stream_log& log) const {
    const auto is_gone = [&](const std::optional<shard_index>& parent) {
      return !parent || log.durable_end(*parent) <= log.trim_horizon(*parent);
    };
    return is_gone(shard.parent) && is_gone(shard.adjacent_parent);
  }

  std::string to_text() const {
    return fmt::format("{} {} {}", type, after ? std::to_string(after->value) : "-", time_s);
  }
  static std::optional<shard_filter> from_text(std::string_view text) {
    shard_filter out;
    const std::size_t first = text.find(' ');
    const std::size_t second = text.rfind(' ');
    if (first == std::string_view::npos || second <= first) return std::nullopt;
    out.type = text.substr(0, first);
    const std::string_view after = text.substr(first + 1, second - first - 1);
    if (after != "-") out.after = parse_shard_id(after);
    const std::string_view time = text.substr(second + 1);
    std::from_chars(time.data(), time.data() + time.size(), out.time_s);
    return out;
  }
};

kinesis_outcome read_filter(const action_call& call, shard_filter& into) {
  if (call.has("ExclusiveStartShardId")) {
    into.after = parse_shard_id(call.text("ExclusiveStartShardId"));
    if (!into.after)
      return invalid_argument(fmt::format("ExclusiveStartShardId {} is not a shard id.",
                                          call.text("ExclusiveStartShardId")));
  }
  const wire_value* const filter = call.find("ShardFilter");
  if (filter == nullptr) return std::nullopt;
  into.type = filter->find("Type")->text;
  const wire_value* const shard = filter->find("ShardId");
  const wire_value* const time = filter->find("Timestamp");
  if (into.type == "AFTER_SHARD_ID") {
    if (shard == nullptr)
      return invalid_argument("ShardFilter AFTER_SHARD_ID must have a ShardId.");
    into.after = parse_shard_id(shard->text);
    if (!into.after)
      return invalid_argument(fmt::format("ShardId {} is not a shard id.", shard->text));
  }
  if (into.type.ends_with("_TIMESTAMP")) {
    if (time == nullptr)
      return invalid_argument(fmt::format("ShardFilter {} must have a Timestamp.", into.type));
    into.time_s = time_of(*time, call.out.encoding()) / 1'000'000;
    if (into.time_s > call.now_us / 1'000'000)
      return invalid_argument("The timestamp of the ShardFilter lies in the future.");
  }
  return std::nullopt;
}

kinesis_outcome not_open(const named_stream& stream, const shard_info& shard,
                         const action_call& call) {
  if (shard.is_open()) return std::nullopt;
  return invalid_argument(
      fmt::format("Shard {} in stream {} under account {} has already been merged or split, and "
                  "thus is not eligible for merging or splitting.",
                  shard_name(shard.shard), stream.name(), call.service.options.account));
}

}  // namespace

kinesis_outcome list_shards(action_call& call) {
  named_stream stream;
  shard_filter filter;
  std::optional<shard_index> from;
  if (call.has("NextToken")) {
    if (call.has("StreamName") || call.has("ExclusiveStartShardId") ||
        call.has("StreamCreationTimestamp") || call.has("ShardFilter"))
      return invalid_argument("NextToken and StreamName cannot be provided together.");
    const auto token = call.service.tokens.read_page(call.text("NextToken"));
    if (!token.ok() || token->listing != 'H') return invalid_argument("NextToken is invalid.");
    if (token->created_ms + token_lifetime_ms < call.now_us / 1000)
      return kinesis_error{"ExpiredNextTokenException", "NextToken has expired."};
    MILLRACE_KINESIS_TRY(find_stream(call, token->stream, stream));
    const auto stored = shard_filter::from_text(token->filter);
    from = parse_shard_id(token->last);
    if (!stored || !from) return invalid_argument("NextToken is invalid.");
    filter = *stored;
  } else {
    MILLRACE_KINESIS_TRY(find_stream(call, stream));
    MILLRACE_KINESIS_TRY(read_filter(call, filter));
    if (const wire_value* const created = call.find("StreamCreationTimestamp")) {
      const std::uint64_t wanted_s = time_of(*created, call.out.encoding()) / 1'000'000;
      if (wanted_s != stream.at.description->created_us / 1'000'000)
        return not_found(
            fmt::format("Stream {} with that creation timestamp not found.", stream.name()));
    }
  }
  const std::int64_t limit = call.integer("MaxResults", shards_a_page);
  wire_writer& out = call.out;
  out.begin_map();
  out.name("Shards");
  out.begin_list();
  std::int64_t count = 0;
  bool has_more = false;
  shard_index last{};
  for (const shard_info& shard : stream.at.description->shards) {
    if ((from && shard.shard <= *from) || !filter.takes(shard, *stream.at.log)) continue;
    has_more = count == limit;
    if (has_more) break;
    write_shard(out, shard);
    last = shard.shard;
    ++count;
  }
  out.end_list();
  if (has_more)
    out.plain("NextToken",
              call.service.tokens.make(page_position{.created_ms = call.now_us / 1000,
                                                     .listing = 'H',
                                                     .stream = stream.id(),
                                                     .last = std::to_string(last.value),
                                                     .filter = filter.to_text()}));
  out.end_map();
  return std::nullopt;
}

kinesis_outcome split_shard(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  const shard_info* shard = nullptr;
  MILLRACE_KINESIS_TRY(find_shard(call, stream, call.text("ShardToSplit"), shard));
  MILLRACE_KINESIS_TRY(not_open(stream, *shard, call));
  uint128 start = 0;
  bool is_too_large = false;
  const std::string_view text = call.text("NewStartingHashKey");
  const bool is_good = parse_hash_key(text, start, is_too_large) && !is_too_large &&
                       start > shard->hash_first && start - shard->hash_first > 1 &&
                       start < shard->hash_last;
  if (!is_good)
    return invalid_argument(fmt::format(
        "NewStartingHashKey {} used in SplitShard() on shard {} in stream {} under account {} is "
        "not both greater than one plus the shard's StartingHashKey {} and less than the shard's "
        "EndingHashKey {}.",
        text, shard_name(shard->shard), stream.name(), call.service.options.account,
        decimal(shard->hash_first), decimal(shard->hash_last)));
  MILLRACE_KINESIS_TRY(check_shard_limit(call, 1));
  if (const status made = call.service.streams.split(stream.name(), shard->shard, start);
      !made.ok())
    return translate(made.failure());
  show_state(call, stream.id(), stream_state::updating);
  return std::nullopt;
}

kinesis_outcome merge_shards(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  const shard_info* one = nullptr;
  const shard_info* other = nullptr;
  MILLRACE_KINESIS_TRY(find_shard(call, stream, call.text("ShardToMerge"), one));
  MILLRACE_KINESIS_TRY(find_shard(call, stream, call.text("AdjacentShardToMerge"), other));
  MILLRACE_KINESIS_TRY(not_open(stream, *one, call));
  MILLRACE_KINESIS_TRY(not_open(stream, *other, call));
  const bool is_adjacent =
      (one->hash_last != uint128_max && one->hash_last + 1 == other->hash_first) ||
      (other->hash_last != uint128_max && other->hash_last + 1 == one->hash_first);
  if (!is_adjacent)
    return invalid_argument(fmt::format(
        "Shards {} and {} in stream {} under account {} are not an adjacent pair of shards "
        "eligible for merging",
        shard_name(one->shard), shard_name(other->shard), stream.name(),
        call.service.options.account));
  if (const status made = call.service.streams.merge(stream.name(), one->shard, other->shard);
      !made.ok())
    return translate(made.failure());
  show_state(call, stream.id(), stream_state::updating);
  return std::nullopt;
}

kinesis_outcome update_shard_count(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  if (stream.extra->on_demand)
    return kinesis_error{
        "ValidationException",
        fmt::format("Request is invalid. Stream {} under account {} is in On-Demand mode.",
                    stream.name(), call.service.options.account)};
  const std::uint32_t open = stream.open_shards();
  const std::int64_t wanted = call.integer("TargetShardCount", 0);
  if (wanted > std::max<std::int64_t>(2 * std::int64_t{open}, 1) || wanted * 2 < open)
    return invalid_argument(fmt::format(
        "UpdateShardCount cannot {} to {} shards: a stream of {} open shards can go to {} to {}.",
        wanted > open ? "scale up" : "scale down", wanted, open, (open + 1) / 2, 2 * open));
  if (wanted > shard_count_max && wanted >= open)
    return limit_exceeded(fmt::format("UpdateShardCount to {} shards is over the limit of {}.",
                                      wanted, shard_count_max));
  if (wanted > open)
    MILLRACE_KINESIS_TRY(check_shard_limit(call, static_cast<std::uint64_t>(wanted) - open));
  quota_book* const quotas = call.service.quotas;
  if (quotas != nullptr && !quotas->take_reshard(stream.id(), monotonic_us()))
    return limit_exceeded(
        fmt::format("Stream {} under account {} has been resharded 10 times in the last 24 hours.",
                    stream.name(), call.service.options.account));
  if (wanted != open) {
    const status made =
        call.service.streams.reshard(stream.name(), static_cast<std::uint32_t>(wanted));
    if (!made.ok()) return translate(made.failure());
    show_state(call, stream.id(), stream_state::updating);
  }
  wire_writer& out = call.out;
  out.begin_map();
  out.plain("StreamName", stream.name());
  out.integer("CurrentShardCount", open);
  out.integer("TargetShardCount", wanted);
  out.plain("StreamARN", stream_arn(call.service.options, stream.name()));
  out.end_map();
  return std::nullopt;
}

}  // namespace millrace
