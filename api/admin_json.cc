#include "api/admin_json.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "api/record_reading.h"

namespace millrace {
namespace {

using json = nlohmann::ordered_json;

/// Never throws for what is not UTF-8: an error message may quote anything.
std::string dump(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string_view policy_name(full_policy policy) {
  return policy == full_policy::refuse ? "refuse" : "drop-oldest";
}

json shard_document(const stream_status& stream, std::size_t i) {
  const shard_info& shard = stream.description.shards[i];
  json out{{"shard", shard_name(shard.shard)},
           {"open", shard.is_open()},
           {"hash_key_first", hash_key_text(shard.hash_first)},
           {"hash_key_last", hash_key_text(shard.hash_last)},
           {"created_s", shard.created_s}};
  if (shard.closed_s) out["closed_s"] = *shard.closed_s;
  if (shard.parent) out["parent"] = shard_name(*shard.parent);
  if (shard.adjacent_parent) out["adjacent_parent"] = shard_name(*shard.adjacent_parent);
  out["records"] = stream.shard_records[i];
  out["record_bytes_since_start"] = stream.shard_bytes[i];
  return out;
}

json stream_document(const stream_status& stream) {
  const stream_description& d = stream.description;
  json out{{"name", d.name},
           {"id", d.id.value},
           {"created_us", d.created_us},
           {"open_shards", std::count_if(d.shards.begin(), d.shards.end(),
                                         [](const shard_info& s) { return s.is_open(); })},
           {"records", 0},
           {"log_bytes", stream.log_bytes},
           {"retention",
            {{"hours", d.retention.hours},
             {"bytes_max", d.retention.bytes_max},
             {"when_full", policy_name(d.retention.when_full)}}},
           {"blocked", stream.blocked}};
  std::uint64_t records = 0;
  json shards = json::array();
  for (std::size_t i = 0; i < d.shards.size(); ++i) {
    records += stream.shard_records[i];
    shards.push_back(shard_document(stream, i));
  }
  out["records"] = records;
  out["shards"] = std::move(shards);
  return out;
}

error bad_request(std::string message) {
  return {error_code::invalid_argument, std::move(message)};
}

status take(const json& value, std::string_view key, std::optional<std::string>& into) {
  if (!value.is_string()) return bad_request(fmt::format("'{}' takes a string", key));
  into = value.get<std::string>();
  return {};
}

status take(const json& value, std::string_view key, std::optional<std::uint64_t>& into) {
  if (!value.is_number_unsigned()) return bad_request(fmt::format("'{}' takes a number", key));
  into = value.get<std::uint64_t>();
  return {};
}

status take_key(const std::string& key, const json& value, stream_request& out) {
  if (key == "name") return take(value, key, out.name);
  if (key == "shards") return take(value, key, out.shards);
  if (key == "shard") return take(value, key, out.shard);
  if (key == "with") return take(value, key, out.with);
  if (key == "at") return take(value, key, out.at);
  if (key == "retention_hours") return take(value, key, out.retention_hours);
  if (key == "retention_bytes") return take(value, key, out.retention_bytes);
  if (key == "when_full") return take(value, key, out.when_full);
  return bad_request(fmt::format("unknown key '{}'", key));
}

}  // namespace

std::string stream_json(const stream_status& stream) {
  return dump(stream_document(stream));
}

std::string streams_json(const std::vector<stream_status>& streams) {
  json list = json::array();
  for (const stream_status& one : streams)
    list.push_back(stream_document(one));
  return dump(json{{"streams", std::move(list)}});
}

std::string error_json(const error& failure) {
  return dump(
      json{{"error", {{"code", to_string(failure.code())}, {"message", failure.message()}}}});
}

error parse_error_json(std::string_view body, unsigned status) {
  const json document = json::parse(body, nullptr, false);
  if (document.is_object() && document.contains("error") && document["error"].is_object()) {
    const std::string name = document["error"].value("code", "");
    const std::string message = document["error"].value("message", "");
    for (int i = 0; i <= static_cast<int>(error_code::unsupported); ++i) {
      if (to_string(static_cast<error_code>(i)) == name)
        return {static_cast<error_code>(i), message};
    }
  }
  return {error_code::io, fmt::format("the server answered {}", status)};
}

result<std::vector<stream_summary>> parse_streams(std::string_view body) {
  const json document = json::parse(body, nullptr, false);
  // Another program's answer may have anything in it: a missing or odd member is one error.
  try {
    std::vector<stream_summary> out;
    const json list =
        document.contains("streams") ? document.at("streams") : json::array({document});
    for (const json& stream : list) {
      stream_summary& one = out.emplace_back();
      one.name = stream.at("name").get<std::string>();
      one.open_shards = stream.at("open_shards").get<std::uint64_t>();
      one.records = stream.at("records").get<std::uint64_t>();
      one.log_bytes = stream.at("log_bytes").get<std::uint64_t>();
      one.retention_hours = stream.at("retention").at("hours").get<std::uint64_t>();
      one.retention_bytes = stream.at("retention").at("bytes_max").get<std::uint64_t>();
      one.when_full = stream.at("retention").at("when_full").get<std::string>();
      one.blocked = stream.at("blocked").get<std::string>();
      for (const json& shard : stream.at("shards")) {
        shard_summary& part = one.shards.emplace_back();
        part.shard = shard.at("shard").get<std::string>();
        part.open = shard.at("open").get<bool>();
        part.hash_first = shard.at("hash_key_first").get<std::string>();
        part.hash_last = shard.at("hash_key_last").get<std::string>();
        part.parents = shard.value("parent", "");
        if (shard.contains("adjacent_parent"))
          part.parents += "," + shard.at("adjacent_parent").get<std::string>();
        part.records = shard.at("records").get<std::uint64_t>();
      }
    }
    return out;
  } catch (const json::exception&) {
    return error(error_code::io, "the answer is not one of a Millrace admin port");
  }
}

result<stream_request> parse_stream_request(std::string_view body) {
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object()) return bad_request("the body is not a JSON object");
  stream_request out;
  for (const auto& [key, value] : document.items())
    MILLRACE_TRY(take_key(key, value, out));
  return out;
}

std::string to_json(const stream_request& request) {
  json out = json::object();
  const auto add = [&](const char* key, const auto& value) {
    if (value) out[key] = *value;
  };
  add("name", request.name);
  add("shards", request.shards);
  add("shard", request.shard);
  add("with", request.with);
  add("at", request.at);
  add("retention_hours", request.retention_hours);
  add("retention_bytes", request.retention_bytes);
  add("when_full", request.when_full);
  return dump(out);
}

result<retention_policy> retention_of(const stream_request& request, retention_policy base) {
  if (request.retention_hours) {
    if (*request.retention_hours > UINT32_MAX)
      return bad_request(fmt::format("retention_hours {} is over the maximum {}",
                                     *request.retention_hours, limits::retention_hours_max));
    base.hours = static_cast<std::uint32_t>(*request.retention_hours);
  }
  if (request.retention_bytes) base.bytes_max = *request.retention_bytes;
  if (request.when_full) {
    if (*request.when_full != "refuse" && *request.when_full != "drop-oldest")
      return bad_request(
          fmt::format("when_full '{}' is none of refuse, drop-oldest", *request.when_full));
    base.when_full =
        *request.when_full == "refuse" ? full_policy::refuse : full_policy::drop_oldest;
  }
  return base;
}

result<uint128> parse_hash_key(std::string_view text) {
  uint128 value = 0;
  const bool digits =
      !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  for (const char c : digits ? text : std::string_view()) {
    const auto digit = static_cast<unsigned>(c - '0');
    if (value > (uint128_max - digit) / 10)
      return bad_request(fmt::format("hash key {} is over the maximum 2^128 - 1", text));
    value = value * 10 + digit;
  }
  if (!digits) return bad_request(fmt::format("hash key '{}' is not a decimal number", text));
  return value;
}

std::string hash_key_text(uint128 value) {
  std::string out;
  do {
    out += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace millrace
