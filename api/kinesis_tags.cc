/// Tags and policies, of streams and consumers.
#include <algorithm>

#include <fmt/format.h>

#include "api/kinesis_service.h"

namespace millrace {
namespace {

constexpr std::size_t tags_max = 50;

/// What an ARN names: a stream, or one of its consumers.
struct resource {
  named_stream stream;
  std::string consumer;  ///< empty: the stream itself
};

kinesis_outcome find_resource(const action_call& call, resource& into) {
  const std::string_view arn = call.text("ResourceARN");
  const auto parts = parse_arn(arn);
  if (!parts) return invalid_argument(fmt::format("ResourceARN {} is invalid.", arn));
  MILLRACE_KINESIS_TRY(find_stream(call.service, parts->stream, call.now_us, into.stream));
  if (parts->consumer.empty()) return std::nullopt;
  const kinesis_consumer* const found = into.stream.extra->find_consumer(parts->consumer);
  if (found == nullptr || found->created_us / 1'000'000 != parts->created_s)
    return not_found(fmt::format("Resource {} not found.", arn));
  into.consumer = found->name;
  return std::nullopt;
}

struct resource_parts {
  tag_map& tags;
  std::string& policy;
};

/// The resource inside its stream's document, which may have changed since it was found.
std::optional<resource_parts> parts_of(kinesis_stream& of, const std::string& consumer) {
  if (consumer.empty()) return resource_parts{of.tags, of.policy};
  for (kinesis_consumer& one : of.consumers) {
    if (one.name == consumer) return resource_parts{one.tags, one.policy};
  }
  return std::nullopt;
}

kinesis_outcome change(const action_call& call, const resource& what,
                       const std::function<kinesis_outcome(resource_parts)>& change) {
  return call.service.registry.change(what.stream.id(),
                                      [&](kinesis_stream& into) -> kinesis_outcome {
                                        const auto parts = parts_of(into, what.consumer);
                                        if (!parts)
                                          return not_found("The consumer does not exist any more.");
                                        return change(*parts);
                                      });
}

const tag_map& tags_of(const resource& what) {
  return what.consumer.empty() ? what.stream.extra->tags
                               : what.stream.extra->find_consumer(what.consumer)->tags;
}

kinesis_outcome check_tag(std::string_view text) {
  if (!text.starts_with("aws:")) return std::nullopt;
  return invalid_argument(fmt::format("Tag key {} begins with 'aws:', which is reserved.", text));
}

kinesis_outcome add_tags(const action_call& call, const resource& what) {
  const wire_value* const tags = call.find("Tags");
  for (const std::string& key : tags->names)
    MILLRACE_KINESIS_TRY(check_tag(key));
  return change(call, what, [&](resource_parts parts) -> kinesis_outcome {
    for (std::size_t i = 0; i < tags->items.size(); ++i)
      parts.tags[tags->names[i]] = tags->items[i].text;
    if (parts.tags.size() > tags_max)
      return invalid_argument(fmt::format(
          "Failed to add tags to stream {} under account {} because a given stream cannot have "
          "more than {} tags associated with it.",
          what.stream.name(), call.service.options.account, tags_max));
    return std::nullopt;
  });
}

kinesis_outcome remove_tags(const action_call& call, const resource& what) {
  return change(call, what, [&](resource_parts parts) -> kinesis_outcome {
    for (const wire_value& key : call.find("TagKeys")->items)
      parts.tags.erase(key.text);
    return std::nullopt;
  });
}

void write_tags(wire_writer& out, tag_map::const_iterator from, tag_map::const_iterator to) {
  out.name("Tags");
  out.begin_list();
  for (; from != to; ++from) {
    out.begin_map();
    out.text("Key", from->first);
    out.text("Value", from->second);
    out.end_map();
  }
  out.end_list();
}

kinesis_outcome find_stream_resource(const action_call& call, resource& into) {
  return find_stream(call, into.stream);
}

}  // namespace

kinesis_outcome add_tags_to_stream(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_stream_resource(call, what));
  return add_tags(call, what);
}

kinesis_outcome remove_tags_from_stream(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_stream_resource(call, what));
  return remove_tags(call, what);
}

kinesis_outcome list_tags_for_stream(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_stream_resource(call, what));
  const tag_map& tags = what.stream.extra->tags;
  const auto from = tags.upper_bound(std::string(call.text("ExclusiveStartTagKey")));
  const auto limit = static_cast<std::ptrdiff_t>(call.integer("Limit", 50));
  const auto to = std::next(from, std::min(limit, std::distance(from, tags.end())));
  call.out.begin_map();
  write_tags(call.out, from, to);
  call.out.boolean("HasMoreTags", to != tags.end());
  call.out.end_map();
  return std::nullopt;
}

kinesis_outcome tag_resource(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_resource(call, what));
  return add_tags(call, what);
}

kinesis_outcome untag_resource(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_resource(call, what));
  return remove_tags(call, what);
}

kinesis_outcome list_tags_for_resource(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_resource(call, what));
  const tag_map& tags = tags_of(what);
  call.out.begin_map();
  write_tags(call.out, tags.begin(), tags.end());
  call.out.end_map();
  return std::nullopt;
}

/// Policies are kept and shown; who may do what is said by the credentials file.
kinesis_outcome put_resource_policy(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_resource(call, what));
  const std::string_view policy = call.text("Policy");
  if (!policy.starts_with('{') || !policy.ends_with('}'))
    return invalid_argument("Policy is not a JSON object.");
  return change(call, what, [&](resource_parts parts) -> kinesis_outcome {
    parts.policy = policy;
    return std::nullopt;
  });
}

kinesis_outcome get_resource_policy(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_resource(call, what));
  const std::string& policy = what.consumer.empty()
                                  ? what.stream.extra->policy
                                  : what.stream.extra->find_consumer(what.consumer)->policy;
  if (policy.empty())
    return not_found(fmt::format("No policy found for resource {}.", call.text("ResourceARN")));
  call.out.begin_map();
  call.out.text("Policy", policy);
  call.out.end_map();
  return std::nullopt;
}

kinesis_outcome delete_resource_policy(action_call& call) {
  resource what;
  MILLRACE_KINESIS_TRY(find_resource(call, what));
  return change(call, what, [&](resource_parts parts) -> kinesis_outcome {
    if (parts.policy.empty())
      return not_found(fmt::format("No policy found for resource {}.", call.text("ResourceARN")));
    parts.policy.clear();
    return std::nullopt;
  });
}

}  // namespace millrace
