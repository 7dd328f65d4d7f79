#include <algorithm>

#include <fmt/format.h>

#include "api/kinesis_service.h"
#include "base/limits.h"

namespace millrace {
namespace {

/// What an on-demand stream starts with; here a shard has no throughput of its own to give.
constexpr std::int64_t on_demand_shards = 4;
constexpr std::size_t shards_a_page = 100;
constexpr std::int64_t streams_a_page = 100;
constexpr std::int64_t on_demand_limit = 50;
constexpr std::size_t creating_limit = 5;

void write_mode(wire_writer& out, const kinesis_stream& extra) {
  out.name("StreamModeDetails");
  out.begin_map();
  out.plain("StreamMode", extra.on_demand ? "ON_DEMAND" : "PROVISIONED");
  out.end_map();
}

/// What DescribeStream and DescribeStreamSummary have in common.
void write_stream(const action_call& call, const named_stream& stream) {
  wire_writer& out = call.out;
  out.plain("StreamName", stream.name());
  out.plain("StreamARN", stream_arn(call.service.options, stream.name()));
  out.plain("StreamStatus", to_string(stream.state));
  write_mode(out, *stream.extra);
  out.integer("RetentionPeriodHours", stream.at.description->retention.hours);
  out.time("StreamCreationTimestamp", stream.at.description->created_us);
  out.name("EnhancedMonitoring");
  out.begin_list();
  out.begin_map();
  out.name("ShardLevelMetrics");
  out.begin_list();
  for (const std::string& one : stream.extra->metrics)
    out.plain(one);
  out.end_list();
  out.end_map();
  out.end_list();
  out.plain("EncryptionType", stream.extra->key_id.empty() ? "NONE" : "KMS");
  if (!stream.extra->key_id.empty()) out.text("KeyId", stream.extra->key_id);
}

bool is_on_demand(const action_call& call) {
  const wire_value* const mode = call.find("StreamModeDetails");
  return mode != nullptr && mode->find("StreamMode")->text == "ON_DEMAND";
}

std::int64_t on_demand_streams(const action_call& call, const std::vector<stream_status>& all) {
  return std::count_if(all.begin(), all.end(), [&](const stream_status& one) {
    return call.service.registry.get(one.description.id)->on_demand;
  });
}

kinesis_outcome check_on_demand_limit(const action_call& call) {
  if (!call.service.options.compat_limits) return std::nullopt;
  const auto all = call.service.streams.list();
  if (!all.ok()) return translate(all.failure());
  if (on_demand_streams(call, *all) < on_demand_limit) return std::nullopt;
  return limit_exceeded(
      fmt::format("Account {} has {} streams in ON_DEMAND mode, which is the limit.",
                  call.service.options.account, on_demand_limit));
}

kinesis_outcome check_creating_limit(const action_call& call) {
  if (!call.service.options.compat_limits ||
      call.service.registry.count(stream_state::creating, call.now_us) < creating_limit)
    return std::nullopt;
  return limit_exceeded(
      fmt::format("Account {} has {} streams in the CREATING state, which is the "
                  "limit.",
                  call.service.options.account, creating_limit));
}

std::uint32_t total_open_shards(const std::vector<stream_status>& streams) {
  std::uint32_t open = 0;
  for (const stream_status& one : streams) {
    for (const shard_info& shard : one.description.shards)
      open += shard.is_open() ? 1 : 0;
  }
  return open;
}

kinesis_outcome store_tags(const action_call& call, kinesis_stream& into) {
  const wire_value* const tags = call.find("Tags");
  if (tags == nullptr) return std::nullopt;
  if (tags->items.size() > 50)
    return invalid_argument("A stream cannot have more than 50 tags associated with it.");
  for (std::size_t i = 0; i < tags->items.size(); ++i)
    into.tags[tags->names[i]] = tags->items[i].text;
  return std::nullopt;
}

}  // namespace

kinesis_outcome check_shard_limit(const action_call& call, std::uint64_t more) {
  const kinesis_options& options = call.service.options;
  if (!options.compat_limits) return std::nullopt;
  const auto all = call.service.streams.list();
  if (!all.ok()) return translate(all.failure());
  const std::uint32_t open = total_open_shards(*all);
  if (open + more <= options.shard_limit) return std::nullopt;
  return limit_exceeded(fmt::format(
      "This request would exceed the shard limit for the account {} in {}. Current shard count for "
      "the account: {}. Limit: {}. Number of additional shards that would have resulted from this "
      "request: {}.",
      options.account, options.region, open, options.shard_limit, more));
}

kinesis_outcome create_stream(action_call& call) {
  const std::string name(call.text("StreamName"));
  MILLRACE_KINESIS_TRY(check_access(call, name));
  const bool on_demand = is_on_demand(call);
  if (on_demand && call.has("ShardCount"))
    return kinesis_error{"ValidationException",
                         "ShardCount must not be specified for a stream in ON_DEMAND mode."};
  if (call.text("RecordDistributionStrategy") == "AUTO")
    return invalid_argument("RecordDistributionStrategy AUTO is not supported by this server.");
  if (!on_demand && !call.has("ShardCount"))
    return kinesis_error{"ValidationException",
                         "ShardCount must be specified for a stream in PROVISIONED mode."};
  const std::int64_t shards = call.integer("ShardCount", on_demand_shards);
  if (shards > limits::open_shards_max)
    return limit_exceeded(fmt::format(
        "This request would exceed the shard limit for the account {} in {}. Requested: {}. "
        "Limit: {}.",
        call.service.options.account, call.service.options.region, shards,
        limits::open_shards_max));
  if (call.service.streams.find_stream(name).ok())
    return in_use(fmt::format("Stream {} under account {} already exists.", name,
                              call.service.options.account));

  MILLRACE_KINESIS_TRY(check_creating_limit(call));
  MILLRACE_KINESIS_TRY(check_shard_limit(call, static_cast<std::uint64_t>(shards)));
  if (on_demand) MILLRACE_KINESIS_TRY(check_on_demand_limit(call));

  kinesis_stream extra;
  MILLRACE_KINESIS_TRY(store_tags(call, extra));
  extra.on_demand = on_demand;
  extra.record_kib_max = static_cast<std::uint32_t>(call.integer("MaxRecordSizeInKiB", 1024));
  extra.warm_mib = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(call.integer("WarmThroughputMiBps", 0), 0, 10'240));
  auto made = call.service.streams.create_stream(name, static_cast<std::uint32_t>(shards), {});
  if (!made.ok()) {
    if (made.failure().code() == error_code::already_exists)
      return in_use(fmt::format("Stream {} under account {} already exists.", name,
                                call.service.options.account));
    return translate(made.failure());
  }
  show_state(call, made->id, stream_state::creating);
  return call.service.registry.change(made->id, [&](kinesis_stream& into) -> kinesis_outcome {
    into = extra;
    return std::nullopt;
  });
}

kinesis_outcome delete_stream(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, stream));
  if (!stream.extra->consumers.empty() && !call.truth("EnforceConsumerDeletion"))
    return in_use(
        fmt::format("Stream {} under account {} has registered consumers: set "
                    "EnforceConsumerDeletion to delete them with it.",
                    stream.name(), call.service.options.account));
  if (const status gone = call.service.streams.delete_stream(stream.name()); !gone.ok())
    return translate(gone.failure());
  call.service.registry.forget(stream.id());
  return std::nullopt;
}

kinesis_outcome describe_stream(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, stream));
  const auto limit = std::min<std::size_t>(
      static_cast<std::size_t>(call.integer("Limit", shards_a_page)), shards_a_page);
  std::optional<shard_index> after;
  if (call.has("ExclusiveStartShardId")) {
    after = parse_shard_id(call.text("ExclusiveStartShardId"));
    if (!after)
      return invalid_argument(fmt::format("ExclusiveStartShardId {} is not a shard id.",
                                          call.text("ExclusiveStartShardId")));
  }
  wire_writer& out = call.out;
  out.begin_map();
  out.name("StreamDescription");
  out.begin_map();
  write_stream(call, stream);
  out.name("Shards");
  out.begin_list();
  std::size_t count = 0;
  bool has_more = false;
  if (stream.state != stream_state::creating) {
    for (const shard_info& shard : stream.at.description->shards) {
      if (after && shard.shard <= *after) continue;
      has_more = count == limit;
      if (has_more) break;
      write_shard(out, shard);
      ++count;
    }
  }
  out.end_list();
  out.boolean("HasMoreShards", has_more);
  out.end_map();
  out.end_map();
  return std::nullopt;
}

kinesis_outcome describe_stream_summary(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, stream));
  wire_writer& out = call.out;
  out.begin_map();
  out.name("StreamDescriptionSummary");
  out.begin_map();
  write_stream(call, stream);
  out.integer("OpenShardCount", stream.open_shards());
  out.integer("ConsumerCount", static_cast<std::int64_t>(stream.extra->consumers.size()));
  out.integer("MaxRecordSizeInKiB", stream.extra->record_kib_max);
  out.plain("RecordDistributionStrategy", "USER_PARTITION_KEY");
  if (stream.extra->on_demand) {
    out.name("WarmThroughput");
    out.begin_map();
    out.integer("TargetMiBps", stream.extra->warm_mib);
    out.integer("CurrentMiBps", stream.extra->warm_mib);
    out.end_map();
  }
  out.end_map();
  out.end_map();
  return std::nullopt;
}

kinesis_outcome list_streams(action_call& call) {
  const std::int64_t limit = std::min(call.integer("Limit", streams_a_page), streams_a_page);
  std::string after(call.text("ExclusiveStartStreamName"));
  if (call.has("NextToken")) {
    const auto token = call.service.tokens.read_page(call.text("NextToken"));
    if (!token.ok() || token->listing != 'S') return invalid_argument("NextToken is invalid.");
    if (token->created_ms + token_lifetime_ms < call.now_us / 1000)
      return kinesis_error{"ExpiredNextTokenException", "NextToken has expired."};
    after = token->last;
  }
  auto all = call.service.streams.list();
  if (!all.ok()) return translate(all.failure());
  std::vector<named_stream> page;
  bool has_more = false;
  for (const stream_status& one : *all) {
    if (one.description.name <= after || check_access(call, one.description.name)) continue;
    has_more = static_cast<std::int64_t>(page.size()) == limit;
    if (has_more) break;
    named_stream stream;
    // It may have been deleted meanwhile.
    if (find_stream(call, one.description.name, stream)) continue;
    page.push_back(std::move(stream));
  }
  wire_writer& out = call.out;
  out.begin_map();
  out.name("StreamNames");
  out.begin_list();
  for (const named_stream& one : page)
    out.plain(one.name());
  out.end_list();
  out.boolean("HasMoreStreams", has_more);
  if (has_more)
    out.plain("NextToken", call.service.tokens.make(page_position{.created_ms = call.now_us / 1000,
                                                                  .listing = 'S',
                                                                  .stream = {},
                                                                  .last = page.back().name(),
                                                                  .filter = {}}));
  out.name("StreamSummaries");
  out.begin_list();
  for (const named_stream& one : page) {
    out.begin_map();
    out.plain("StreamName", one.name());
    out.plain("StreamARN", stream_arn(call.service.options, one.name()));
    out.plain("StreamStatus", to_string(one.state));
    write_mode(out, *one.extra);
    out.time("StreamCreationTimestamp", one.at.description->created_us);
    out.end_map();
  }
  out.end_list();
  out.end_map();
  return std::nullopt;
}

kinesis_outcome describe_limits(action_call& call) {
  auto all = call.service.streams.list();
  if (!all.ok()) return translate(all.failure());
  wire_writer& out = call.out;
  out.begin_map();
  out.integer("ShardLimit", call.service.options.shard_limit);
  out.integer("OpenShardCount", total_open_shards(*all));
  out.integer("OnDemandStreamCount", on_demand_streams(call, *all));
  out.integer("OnDemandStreamCountLimit", on_demand_limit);
  out.integer("ChannelCount", 0);
  out.integer("ChannelCountLimit", 0);
  out.end_map();
  return std::nullopt;
}

}  // namespace millrace
