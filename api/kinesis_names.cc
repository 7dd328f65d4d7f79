#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "api/kinesis_service.h"
#include "api/kinesis_shapes.h"
#include "shards/sequence_number.h"
#include "shards/shard_lineage.h"

namespace millrace {

std::string_view action_call::text(std::string_view name) const {
  const wire_value* const found = input.find(name);
  return found == nullptr ? std::string_view() : std::string_view(found->text);
}

std::int64_t action_call::integer(std::string_view name, std::int64_t otherwise) const {
  const wire_value* const found = input.find(name);
  if (found == nullptr) return otherwise;
  return found->is == wire_value::kind::real
             ? static_cast<std::int64_t>(std::clamp(found->real, -1e15, 1e15))
             : found->integer;
}

bool action_call::truth(std::string_view name) const {
  const wire_value* const found = input.find(name);
  return found != nullptr && found->boolean;
}

std::uint64_t time_of(const wire_value& value, wire_encoding encoding) {
  const double scale = encoding == wire_encoding::json ? 1e6 : 1e3;
  return static_cast<std::uint64_t>(std::llround(std::clamp(value.real * scale, 0.0, 1e18)));
}

std::string stream_arn(const kinesis_options& options, std::string_view name) {
  return fmt::format("arn:aws:kinesis:{}:{}:stream/{}", options.region, options.account, name);
}

std::string consumer_arn(const kinesis_options& options, std::string_view stream,
                         const kinesis_consumer& consumer) {
  return fmt::format("{}/consumer/{}:{}", stream_arn(options, stream), consumer.name,
                     consumer.created_us / 1'000'000);
}

/// Region and account are not compared: whoever reaches this server means its streams.
std::optional<arn_parts> parse_arn(std::string_view arn) {
  const bool is_consumer = matches(text_pattern::consumer_arn, arn);
  if (!is_consumer && !matches(text_pattern::stream_arn, arn)) return std::nullopt;
  std::string_view rest = arn.substr(arn.find(":stream/") + 8);
  arn_parts out{.stream = rest.substr(0, rest.find('/')), .consumer = {}, .created_s = 0};
  if (is_consumer) {
    rest.remove_prefix(rest.find("consumer/") + 9);
    const std::size_t colon = rest.find(':');
    out.consumer = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
    std::from_chars(rest.data(), rest.data() + rest.size(), out.created_s);
  }
  return out;
}

const shard_info* named_stream::find_shard(shard_index shard) const {
  const auto& shards = at.description->shards;
  const auto found = std::lower_bound(
      shards.begin(), shards.end(), shard,
      [](const shard_info& info, shard_index wanted) { return info.shard < wanted; });
  return found != shards.end() && found->shard == shard ? &*found : nullptr;
}

std::uint32_t named_stream::open_shards() const {
  const auto& shards = at.description->shards;
  return static_cast<std::uint32_t>(std::count_if(
      shards.begin(), shards.end(), [](const shard_info& one) { return one.is_open(); }));
}

kinesis_error no_such_stream(const kinesis_options& options, std::string_view name) {
  return not_found(fmt::format("Stream {} under account {} not found.", name, options.account));
}

std::string over_shard_rate(const kinesis_options& options, std::string_view stream,
                            shard_index shard) {
  return fmt::format("Rate exceeded for shard {} in stream {} under account {}.", shard_name(shard),
                     stream, options.account);
}

kinesis_error throughput_exceeded(const kinesis_options& options, std::string_view stream,
                                  shard_index shard) {
  return {"ProvisionedThroughputExceededException", over_shard_rate(options, stream, shard)};
}

kinesis_outcome check_access(const action_call& call, std::string_view stream) {
  if (call.who == nullptr || call.who->allows_stream(stream)) return std::nullopt;
  return kinesis_error{
      "AccessDeniedException",
      fmt::format("User: {} is not authorized to perform: kinesis:{} on resource: {}",
                  call.who->access_key, call.action, stream_arn(call.service.options, stream))};
}

namespace {

kinesis_outcome fill(const action_call& call, result<stream_handle> at, named_stream& into) {
  into.at = *std::move(at);
  into.extra = call.service.registry.get(into.id());
  into.state = call.service.registry.state(into.id(), call.now_us);
  return check_access(call, into.name());
}

}  // namespace

kinesis_outcome find_stream(const action_call& call, std::string_view name, named_stream& into) {
  // Who may not see a stream does not learn whether there is one.
  MILLRACE_KINESIS_TRY(check_access(call, name));
  auto at = call.service.streams.open_stream(name);
  if (!at.ok()) return no_such_stream(call.service.options, name);
  return fill(call, std::move(at), into);
}

kinesis_outcome find_stream(const action_call& call, stream_id id, named_stream& into) {
  auto at = call.service.streams.open_stream(id);
  if (!at.ok()) return not_found("The stream does not exist any more.");
  return fill(call, std::move(at), into);
}

kinesis_outcome find_stream(const action_call& call, named_stream& into) {
  const std::string_view name = call.text("StreamName");
  const std::string_view arn = call.text("StreamARN");
  if (name.empty() && arn.empty()) {
    violation_list missing;
    missing.add("null", "streamName", "Member must not be null");
    return missing.outcome();
  }
  if (arn.empty()) return find_stream(call, name, into);
  const auto parts = parse_arn(arn);
  if (!parts || (!name.empty() && parts->stream != name))
    return invalid_argument(
        fmt::format("StreamARN {} and StreamName {} do not name one stream.", arn, name));
  return find_stream(call, parts->stream, into);
}

kinesis_outcome find_active_stream(const action_call& call, named_stream& into) {
  MILLRACE_KINESIS_TRY(find_stream(call, into));
  if (into.state == stream_state::active) return std::nullopt;
  return in_use(fmt::format("Stream {} under account {} not ACTIVE, instead in state {}",
                            into.name(), call.service.options.account, to_string(into.state)));
}

std::optional<shard_index> parse_shard_id(std::string_view text) {
  const std::size_t dash = text.rfind('-');
  if (dash != std::string_view::npos) text.remove_prefix(dash + 1);
  std::uint32_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return shard_index(number);
}

kinesis_error no_such_shard(const action_call& call, const named_stream& stream,
                            std::string_view shard) {
  return not_found(fmt::format("Shard {} in stream {} under account {} does not exist", shard,
                               stream.name(), call.service.options.account));
}

kinesis_outcome find_shard(const action_call& call, const named_stream& stream,
                           std::string_view text, const shard_info*& into) {
  const auto shard = parse_shard_id(text);
  if (!shard)
    return not_found(fmt::format("Could not find shard {} in stream {} under account {}.", text,
                                 stream.name(), call.service.options.account));
  into = stream.find_shard(*shard);
  if (into == nullptr)
    return not_found(fmt::format("Could not find shard {} in stream {} under account {}.",
                                 shard_name(*shard), stream.name(), call.service.options.account));
  return std::nullopt;
}

std::string decimal(uint128 value) {
  std::string out;
  do {
    out += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

sequence_number place_before(const shard_info& shard, record_index index) {
  return {shard.created_s, index, shard.created_s - 1, shard.shard};
}

bool is_place(const sequence_number& sequence) {
  return sequence.arrival_s < sequence.shard_created_s;
}

std::string first_sequence(const shard_info& shard) {
  return place_before(shard, record_index(0)).to_string();
}

void write_hash_range(wire_writer& out, const shard_info& shard) {
  out.name("HashKeyRange");
  out.begin_map();
  out.plain("StartingHashKey", decimal(shard.hash_first));
  out.plain("EndingHashKey", decimal(shard.hash_last));
  out.end_map();
}

void write_shard(wire_writer& out, const shard_info& shard) {
  out.begin_map();
  out.plain("ShardId", shard_name(shard.shard));
  if (shard.parent) out.plain("ParentShardId", shard_name(*shard.parent));
  if (shard.adjacent_parent) out.plain("AdjacentParentShardId", shard_name(*shard.adjacent_parent));
  write_hash_range(out, shard);
  out.name("SequenceNumberRange");
  out.begin_map();
  out.plain("StartingSequenceNumber", first_sequence(shard));
  if (shard.closed_s)
    out.plain("EndingSequenceNumber",
              sequence_number{shard.created_s, closed_shard_index, *shard.closed_s, shard.shard}
                  .to_string());
  out.end_map();
  out.end_map();
}

void show_state(const action_call& call, stream_id id, stream_state state) {
  const std::uint64_t shown_us = call.service.options.state_change_us;
  if (shown_us > 0) call.service.registry.set_state(id, state, call.now_us + shown_us);
}

}  // namespace millrace
