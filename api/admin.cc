#include "api/admin.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/admin_answers.h"
#include "api/admin_json.h"
#include "api/json_text.h"
#include "api/record_reading.h"

namespace millrace {
namespace {

constexpr std::uint64_t wait_ms_max = 30'000;
constexpr std::uint64_t records_max = 10'000;

template <class Value>
result<Value> needed(const std::optional<Value>& value, std::string_view name) {
  if (value) return *value;
  return error(error_code::invalid_argument, fmt::format("'{}' is missing", name));
}

result<std::uint32_t> shard_count(const stream_request& request, std::uint64_t otherwise) {
  const std::uint64_t shards = request.shards.value_or(otherwise);
  if (shards < 1 || shards > limits::open_shards_max)
    return error(error_code::invalid_argument,
                 fmt::format("shards {} is not between 1 and {}", shards, limits::open_shards_max));
  return static_cast<std::uint32_t>(shards);
}

/// The middle of an open shard's range: the first hash key of its upper half.
result<uint128> middle_of(const stream_description& stream, shard_index shard) {
  for (const shard_info& one : stream.shards) {
    if (one.shard == shard) return one.hash_first + (one.hash_last - one.hash_first) / 2 + 1;
  }
  return error(error_code::not_found,
               fmt::format("stream '{}' has no {}", stream.name, shard_name(shard)));
}

}  // namespace

http_response admin::handle(const http_request& request) {
  if (parts_.is_loopback && !names_this_machine(request.header("Host")))
    return refuse({error_code::permission,
                   "the Host header does not name this machine: use 127.0.0.1 or localhost"});
  return route(request);
}

http_response admin::route(const http_request& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/healthz") return answer(200, "{\"alive\":true}\n");
  if (request.path == "/readyz") return reads ? ready() : not_allowed("GET");
  if (request.path == "/metrics") return reads ? metrics() : not_allowed("GET");

  constexpr std::string_view views_prefix = "/v1/views";
  if (request.path == views_prefix || request.path.starts_with(std::string(views_prefix) + "/"))
    return views_.handle(request, std::string_view(request.path).substr(views_prefix.size()));

  constexpr std::string_view prefix = "/v1/streams";
  std::string_view rest = request.path;
  if (!rest.starts_with(prefix)) return no_such_path();
  rest.remove_prefix(prefix.size());
  if (rest.empty() || rest == "/") return streams(request);
  if (rest[0] != '/') return no_such_path();
  rest.remove_prefix(1);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  return one_stream(request, std::string(rest.substr(0, slash)),
                    rest.substr(std::min(slash + 1, rest.size())));
}

http_response admin::ready() {
  const bool stopping = is_stopping_.load(std::memory_order_relaxed);
  bool ready = !stopping;
  std::string reasons;
  const auto add = [&](std::string_view reason) {
    if (!reasons.empty()) reasons += ',';
    append_json_string(reasons, reason);
    ready = false;
  };
  if (stopping) add("stopping");
  auto streams = parts_.streams.list();
  if (!streams.ok()) {
    add(streams.failure().message());
  } else {
    for (const stream_status& one : *streams) {
      if (!one.blocked.empty())
        add(fmt::format("stream '{}' cannot be written: {}", one.description.name, one.blocked));
    }
  }
  // A view that has a fault lags behind, or goes on elsewhere; records are taken all the same.
  std::string faults;
  for (const std::string& one : views_.faults()) {
    if (!faults.empty()) faults += ',';
    append_json_string(faults, one);
  }
  // The same goes for a device: the CPU does its work.
  std::string device_fault;
  append_json_string(device_fault, parts_.streams.health_of_backend().fault);
  // The port opens after recovery, so that part is always true here.
  return answer(ready ? 200 : 503, fmt::format("{{\"ready\":{},\"recovered\":true,\"reasons\":[{}],"
                                               "\"view_faults\":[{}],\"device_fault\":{}}}\n",
                                               ready, reasons, faults, device_fault));
}

http_response admin::streams(const http_request& request) {
  if (request.method == "GET" || request.method == "HEAD") {
    auto list = parts_.streams.list();
    return list.ok() ? answer(200, streams_json(*list)) : refuse(list.failure());
  }
  if (request.method != "POST") return not_allowed("GET, POST");
  if (!is_permitted(request))
    return answer(401, error_json({error_code::permission, "wrong or missing admin token"}));

  const auto create = [&]() -> result<stream_status> {
    MILLRACE_ASSIGN(const stream_request wanted, parse_stream_request(request.body));
    MILLRACE_ASSIGN(const std::string name, needed(wanted.name, "name"));
    MILLRACE_ASSIGN(const std::uint32_t shards, shard_count(wanted, 1));
    MILLRACE_ASSIGN(const retention_policy retention, retention_of(wanted, {}));
    MILLRACE_TRY(parts_.streams.create_stream(name, shards, retention));
    return parts_.streams.describe(name);
  };
  auto created = create();
  return created.ok() ? answer(201, stream_json(*created)) : refuse(created.failure());
}

http_response admin::one_stream(const http_request& request, const std::string& name,
                                std::string_view action) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (action == "records") {
    // A cursor over thousands of shards is too long for a target: then it is the body of a POST.
    return reads || request.method == "POST" ? records(request, name) : not_allowed("GET, POST");
  }
  if (action.empty() && reads) {
    auto stream = parts_.streams.describe(name);
    return stream.ok() ? answer(200, stream_json(*stream)) : refuse(stream.failure());
  }
  const bool deletes = action.empty() && request.method == "DELETE";
  if (action.empty() && !deletes) return not_allowed("GET, DELETE");
  if (!action.empty() && action != "split" && action != "merge" && action != "reshard" &&
      action != "retention")
    return no_such_path();
  if (!action.empty() && request.method != "POST") return not_allowed("POST");
  if (!is_permitted(request))
    return answer(401, error_json({error_code::permission, "wrong or missing admin token"}));

  auto changed = deletes ? parts_.streams.delete_stream(name) : change(request, name, action);
  if (!changed.ok()) return refuse(changed.failure());
  if (deletes) return answer(200, "{}\n");
  auto stream = parts_.streams.describe(name);
  return stream.ok() ? answer(200, stream_json(*stream)) : refuse(stream.failure());
}

status admin::change(const http_request& request, const std::string& name,
                     std::string_view action) {
  MILLRACE_ASSIGN(const stream_request wanted, parse_stream_request(request.body));
  MILLRACE_ASSIGN(const stream_status stream, parts_.streams.describe(name));
  if (action == "retention") {
    MILLRACE_ASSIGN(const retention_policy retention,
                    retention_of(wanted, stream.description.retention));
    return parts_.streams.set_retention(name, retention);
  }
  if (action == "reshard") {
    MILLRACE_TRY(needed(wanted.shards, "shards"));
    MILLRACE_ASSIGN(const std::uint32_t shards, shard_count(wanted, 0));
    return parts_.streams.reshard(name, shards);
  }
  MILLRACE_ASSIGN(const std::string shard_text, needed(wanted.shard, "shard"));
  MILLRACE_ASSIGN(const shard_index shard, parse_shard_name(shard_text));
  if (action == "merge") {
    MILLRACE_ASSIGN(const std::string with_text, needed(wanted.with, "with"));
    MILLRACE_ASSIGN(const shard_index with, parse_shard_name(with_text));
    return parts_.streams.merge(name, shard, with);
  }
  MILLRACE_ASSIGN(const uint128 at,
                  wanted.at ? parse_hash_key(*wanted.at) : middle_of(stream.description, shard));
  return parts_.streams.split(name, shard, at);
}

http_response admin::records(const http_request& request, const std::string& name) {
  bool wait = false;
  const auto read = [&]() -> result<read_page> {
    MILLRACE_ASSIGN(const std::uint64_t limit,
                    number_parameter(request, "limit", 1000, records_max));
    MILLRACE_ASSIGN(const std::uint64_t wait_ms,
                    number_parameter(request, "wait_ms", 0, wait_ms_max));
    MILLRACE_ASSIGN(const auto log, parts_.streams.log_of(name));
    MILLRACE_ASSIGN(const stream_status stream, parts_.streams.describe(name));

    std::optional<shard_index> shard;
    if (const auto text = request.parameter("shard")) {
      MILLRACE_ASSIGN(shard, parse_shard_name(*text));
    }
    const auto given = request.method == "POST" ? std::optional<std::string_view>(request.body)
                                                : request.parameter("cursor");
    // "latest" is where the log ends when the request comes in, also while it waits.
    if (!given && request.parameter("from") == "latest" && wait_ms > 0)
      return error(error_code::invalid_argument,
                   "wait_ms with from=latest would miss records: ask without wait_ms first, then "
                   "wait with the cursor of the answer");
    MILLRACE_ASSIGN(const read_cursor from,
                    given ? read_cursor::parse(*given)
                          : cursor_from(request.parameter("from").value_or("trim-horizon"), shard,
                                        stream.description, *log));
    MILLRACE_ASSIGN(read_page page, read_records(stream.description, *log, from,
                                                 {.records = static_cast<std::uint32_t>(limit)}));
    wait = page.records == 0 && page.caught_up && request.waited_us < wait_ms * 1000 &&
           !is_stopping_.load(std::memory_order_relaxed);
    return page;
  };
  auto page = read();
  if (!page.ok()) return refuse(page.failure());

  http_response out;
  if (wait) {
    // Soon at first, then seldom; and the more shards have to be looked at, the more seldom.
    out.again_after_us = std::clamp<std::uint64_t>(request.waited_us / 4, 2'000, 25'000) +
                         4 * page->cursor.next.size();
    return out;
  }
  out.content_type = "application/x-ndjson";
  out.body = std::move(page->lines);
  out.body += fmt::format("{{\"cursor\":\"{}\",\"caught_up\":{}}}\n", page->cursor.to_text(),
                          page->caught_up);
  return out;
}

bool admin::is_permitted(const http_request& request) const {
  constexpr std::string_view scheme = "Bearer ";
  std::string_view given = request.header("Authorization");
  if (!given.starts_with(scheme)) return false;
  given.remove_prefix(scheme.size());
  if (given.size() != parts_.token.size() || given.empty()) return false;
  // Takes the same time wherever the first difference is.
  unsigned difference = 0;
  for (std::size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned>(given[i] ^ parts_.token[i]);
  return difference == 0;
}

}  // namespace millrace
