#include <algorithm>

#include <fmt/format.h>

#include "api/kinesis_service.h"

namespace millrace {
namespace {

constexpr std::size_t consumers_max = 20;
constexpr std::int64_t consumers_a_page = 100;

void write_consumer(const action_call& call, std::string_view stream,
                    const kinesis_consumer& consumer, bool with_stream) {
  wire_writer& out = call.out;
  out.begin_map();
  out.plain("ConsumerName", consumer.name);
  out.plain("ConsumerARN", consumer_arn(call.service.options, stream, consumer));
  const bool is_new = call.now_us < consumer.created_us + call.service.options.state_change_us;
  out.plain("ConsumerStatus", is_new ? "CREATING" : "ACTIVE");
  out.time("ConsumerCreationTimestamp", consumer.created_us);
  if (with_stream) out.plain("StreamARN", stream_arn(call.service.options, stream));
  out.end_map();
}

kinesis_error no_such_consumer(const action_call& call, std::string_view stream,
                               std::string_view consumer) {
  return not_found(fmt::format("Consumer {}, stream {} under account {} not found.", consumer,
                               stream, call.service.options.account));
}

/// The consumer that ConsumerARN, or StreamARN and ConsumerName, names.
kinesis_outcome find_consumer(const action_call& call, named_stream& stream,
                              const kinesis_consumer*& into) {
  const std::string_view arn = call.text("ConsumerARN");
  const std::string_view of_stream = call.text("StreamARN");
  std::string_view name = call.text("ConsumerName");
  if (arn.empty() && (of_stream.empty() || name.empty()))
    return invalid_argument("Either ConsumerARN or both StreamARN and ConsumerName must be given.");
  const auto parts = parse_arn(arn.empty() ? of_stream : arn);
  if (!parts) return invalid_argument("The ARN is not one of a stream or consumer.");
  if (!arn.empty()) name = parts->consumer;
  MILLRACE_KINESIS_TRY(find_stream(call.service, parts->stream, call.now_us, stream));
  into = stream.extra->find_consumer(name);
  const bool is_same =
      into != nullptr && (arn.empty() || into->created_us / 1'000'000 == parts->created_s);
  if (!is_same) return no_such_consumer(call, parts->stream, name);
  return std::nullopt;
}

}  // namespace

kinesis_outcome register_stream_consumer(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  kinesis_consumer made{.name = std::string(call.text("ConsumerName")),
                        .created_us = call.now_us,
                        .tags = {},
                        .policy = {}};
  if (const wire_value* const tags = call.find("Tags")) {
    for (std::size_t i = 0; i < tags->items.size(); ++i)
      made.tags[tags->names[i]] = tags->items[i].text;
  }
  MILLRACE_KINESIS_TRY(
      call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
        if (into.find_consumer(made.name) != nullptr)
          return in_use(fmt::format("Consumer {} of stream {} under account {} already exists.",
                                    made.name, stream.name(), call.service.options.account));
        if (into.consumers.size() >= consumers_max)
          return limit_exceeded(
              fmt::format("Stream {} under account {} has {} registered consumers, the limit.",
                          stream.name(), call.service.options.account, consumers_max));
        into.consumers.push_back(made);
        std::sort(into.consumers.begin(), into.consumers.end(),
                  [](const auto& a, const auto& b) { return a.name < b.name; });
        return std::nullopt;
      }));
  // Kinesis shows every new consumer as CREATING in this answer.
  wire_writer& out = call.out;
  out.begin_map();
  out.name("Consumer");
  out.begin_map();
  out.plain("ConsumerName", made.name);
  out.plain("ConsumerARN", consumer_arn(call.service.options, stream.name(), made));
  out.plain("ConsumerStatus", "CREATING");
  out.time("ConsumerCreationTimestamp", made.created_us);
  out.end_map();
  out.end_map();
  return std::nullopt;
}

kinesis_outcome deregister_stream_consumer(action_call& call) {
  named_stream stream;
  const kinesis_consumer* found = nullptr;
  MILLRACE_KINESIS_TRY(find_consumer(call, stream, found));
  const std::string name = found->name;
  return call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
    const auto removed = std::erase_if(
        into.consumers, [&](const kinesis_consumer& one) { return one.name == name; });
    if (removed == 0) return no_such_consumer(call, stream.name(), name);
    return std::nullopt;
  });
}

kinesis_outcome describe_stream_consumer(action_call& call) {
  named_stream stream;
  const kinesis_consumer* found = nullptr;
  MILLRACE_KINESIS_TRY(find_consumer(call, stream, found));
  call.out.begin_map();
  call.out.name("ConsumerDescription");
  write_consumer(call, stream.name(), *found, true);
  call.out.end_map();
  return std::nullopt;
}

kinesis_outcome list_stream_consumers(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, stream));
  std::string after;
  if (call.has("NextToken")) {
    const auto token = call.service.tokens.read_page(call.text("NextToken"));
    if (!token.ok() || token->listing != 'C' || token->stream != stream.id())
      return invalid_argument("NextToken is invalid.");
    if (token->created_ms + token_lifetime_ms < call.now_us / 1000)
      return kinesis_error{"ExpiredNextTokenException", "NextToken has expired."};
    after = token->last;
  }
  const std::int64_t limit = call.integer("MaxResults", consumers_a_page);
  wire_writer& out = call.out;
  out.begin_map();
  out.name("Consumers");
  out.begin_list();
  std::int64_t count = 0;
  std::string last;
  bool has_more = false;
  for (const kinesis_consumer& one : stream.extra->consumers) {
    if (one.name <= after) continue;
    has_more = count == limit;
    if (has_more) break;
    write_consumer(call, stream.name(), one, false);
    last = one.name;
    ++count;
  }
  out.end_list();
  if (has_more)
    out.plain("NextToken", call.service.tokens.make(page_position{.created_ms = call.now_us / 1000,
                                                                  .listing = 'C',
                                                                  .stream = stream.id(),
                                                                  .last = last,
                                                                  .filter = {}}));
  out.end_map();
  return std::nullopt;
}

}  // namespace millrace
