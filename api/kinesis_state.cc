#include "api/kinesis_state.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace millrace {
namespace {

using nlohmann::json;

constexpr std::string_view attribute = "kinesis";

std::string to_text(const kinesis_stream& one) {
  json consumers = json::array();
  for (const kinesis_consumer& each : one.consumers)
    consumers.push_back({{"name", each.name},
                         {"created_us", each.created_us},
                         {"tags", each.tags},
                         {"policy", each.policy}});
  const json out = {{"on_demand", one.on_demand},
                    {"tags", one.tags},
                    {"consumers", consumers},
                    {"policy", one.policy},
                    {"key_id", one.key_id},
                    {"metrics", one.metrics},
                    {"record_kib_max", one.record_kib_max},
                    {"warm_mib", one.warm_mib}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

tag_map tags_of(const json& from) {
  tag_map out;
  for (const auto& [key, value] : from.items()) {
    if (value.is_string()) out.emplace(key, value.get<std::string>());
  }
  return out;
}

/// Members that a newer version wrote are lost when this one stores the document again; what is
/// not there has its default.
bool from_text(const std::string& text, kinesis_stream& into) {
  const json from = json::parse(text, nullptr, false);
  if (!from.is_object()) return false;
  const auto string = [](const json& of, const char* name) {
    const auto found = of.find(name);
    return found != of.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto number = [](const json& of, const char* name, std::uint64_t otherwise) {
    const auto found = of.find(name);
    return found != of.end() && found->is_number_unsigned() ? found->get<std::uint64_t>()
                                                            : otherwise;
  };
  const auto flag = from.find("on_demand");
  into.on_demand = flag != from.end() && flag->is_boolean() && flag->get<bool>();
  into.policy = string(from, "policy");
  into.key_id = string(from, "key_id");
  into.record_kib_max = static_cast<std::uint32_t>(number(from, "record_kib_max", 1024));
  into.warm_mib = static_cast<std::uint32_t>(number(from, "warm_mib", 0));
  if (from.contains("tags")) into.tags = tags_of(from["tags"]);
  if (from.contains("metrics")) {
    for (const json& one : from["metrics"]) {
      if (one.is_string()) into.metrics.insert(one.get<std::string>());
    }
  }
  if (from.contains("consumers")) {
    for (const json& one : from["consumers"]) {
      if (!one.is_object()) return false;
      into.consumers.push_back({.name = string(one, "name"),
                                .created_us = number(one, "created_us", 0),
                                .tags = one.contains("tags") ? tags_of(one["tags"]) : tag_map(),
                                .policy = string(one, "policy")});
    }
  }
  return true;
}

}  // namespace

const kinesis_consumer* kinesis_stream::find_consumer(std::string_view name) const {
  const auto found = std::find_if(consumers.begin(), consumers.end(),
                                  [&](const kinesis_consumer& one) { return one.name == name; });
  return found == consumers.end() ? nullptr : &*found;
}

std::string_view to_string(stream_state state) {
  switch (state) {
    case stream_state::active:
      return "ACTIVE";
    case stream_state::creating:
      return "CREATING";
    case stream_state::updating:
      return "UPDATING";
    case stream_state::deleting:
      return "DELETING";
  }
  return "ACTIVE";
}

status kinesis_registry::load() {
  MILLRACE_ASSIGN(const auto all, streams_.list());
  std::unique_lock lock(mutex_);
  for (const stream_status& one : all) {
    MILLRACE_ASSIGN(const stream_attributes stored, streams_.attributes(one.description.id));
    const auto found = stored.find(std::string(attribute));
    if (found == stored.end()) continue;
    auto document = std::make_shared<kinesis_stream>();
    if (!from_text(found->second, *document))
      return error(error_code::corrupt, "catalog: what is kept for Kinesis of stream '" +
                                            one.description.name + "' does not parse");
    entries_[one.description.id].document = std::move(document);
  }
  return {};
}

std::shared_ptr<const kinesis_stream> kinesis_registry::get(stream_id id) const {
  static const auto fresh = std::make_shared<const kinesis_stream>();
  std::shared_lock lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? fresh : found->second.document;
}

kinesis_outcome kinesis_registry::change(
    stream_id id, const std::function<kinesis_outcome(kinesis_stream&)>& change) {
  std::lock_guard changes(change_mutex_);
  auto copy = std::make_shared<kinesis_stream>(*get(id));
  MILLRACE_KINESIS_TRY(change(*copy));
  if (const status stored = streams_.set_attribute(id, attribute, to_text(*copy)); !stored.ok())
    return translate(stored.failure());
  std::unique_lock lock(mutex_);
  entries_[id].document = std::move(copy);
  return std::nullopt;
}

void kinesis_registry::forget(stream_id id) {
  std::unique_lock lock(mutex_);
  entries_.erase(id);
}

void kinesis_registry::set_state(stream_id id, stream_state state, std::uint64_t until_us) {
  std::unique_lock lock(mutex_);
  entry& one = entries_[id];
  one.state = state;
  one.until_us = until_us;
}

stream_state kinesis_registry::state(stream_id id, std::uint64_t now_us) const {
  std::shared_lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || now_us >= found->second.until_us) return stream_state::active;
  return found->second.state;
}

std::size_t kinesis_registry::count(stream_state state, std::uint64_t now_us) const {
  std::shared_lock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(),
      [&](const auto& one) { return one.second.state == state && now_us < one.second.until_us; }));
}

}  // namespace millrace
