#include "app/stream_command.h"

#include <cstdio>

#include <fmt/format.h>

#include "api/admin_json.h"
#include "app/admin_client.h"
#include "app/parse.h"

namespace millrace {
namespace {

std::string retention_text(const stream_summary& stream) {
  std::string out = fmt::format("{} h", stream.retention_hours);
  if (stream.retention_bytes > 0)
    out += fmt::format(", {} ({})", bytes_text(stream.retention_bytes), stream.when_full);
  return out;
}

void print_list(const std::vector<stream_summary>& streams) {
  if (streams.empty()) {
    fmt::print("no streams; make one: millrace stream create NAME --shards 4\n");
    return;
  }
  fmt::print("{:<32} {:>7} {:>14} {:>11}  {}\n", "name", "shards", "records", "log", "retention");
  for (const stream_summary& one : streams) {
    fmt::print("{:<32} {:>7} {:>14} {:>11}  {}{}\n", one.name, one.open_shards, one.records,
               bytes_text(one.log_bytes), retention_text(one),
               one.blocked.empty() ? "" : "  BLOCKED: " + one.blocked);
  }
}

void print_stream(const stream_summary& stream) {
  fmt::print("{}: {} open shards, {} records, log {}, retention {}\n", stream.name,
             stream.open_shards, stream.records, bytes_text(stream.log_bytes),
             retention_text(stream));
  if (!stream.blocked.empty()) fmt::print("BLOCKED: {}\n", stream.blocked);
  for (const shard_summary& one : stream.shards) {
    fmt::print("  {}  {:<6} {:>12} records  {}..{}{}\n", one.shard, one.open ? "open" : "closed",
               one.records, one.hash_first, one.hash_last,
               one.parents.empty() ? "" : "  from " + one.parents);
  }
}

result<stream_request> retention_request(const stream_options& options) {
  stream_request out;
  out.retention_hours = options.retention_hours;
  out.when_full = options.when_full;
  if (options.retention_bytes) {
    MILLRACE_ASSIGN(out.retention_bytes,
                    parse_bytes("--retention-bytes", *options.retention_bytes));
  }
  return out;
}

result<std::string> act(const stream_options& options, admin_client& client) {
  const std::string target = stream_path(options.name);
  MILLRACE_ASSIGN(stream_request request, retention_request(options));
  switch (options.action) {
    case stream_action::list:
      return client.get("/v1/streams");
    case stream_action::describe:
      return client.get(target);
    case stream_action::create:
      request.name = options.name;
      request.shards = options.shards == 0 ? 1 : options.shards;
      return client.change("POST", "/v1/streams", to_json(request));
    case stream_action::reshard:
      request.shards = options.shards;
      return client.change("POST", target + "/reshard", to_json(request));
    case stream_action::split:
      request.shard = options.shard;
      if (!options.at.empty()) request.at = options.at;
      return client.change("POST", target + "/split", to_json(request));
    case stream_action::merge:
      request.shard = options.shard;
      request.with = options.adjacent;
      return client.change("POST", target + "/merge", to_json(request));
    case stream_action::retention:
      return client.change("POST", target + "/retention", to_json(request));
    case stream_action::remove:
      return client.change("DELETE", target, "");
  }
  return error(error_code::invalid_argument, "no such action");
}

status run(const stream_options& options) {
  MILLRACE_ASSIGN(admin_client client, admin_client::create(options.admin));
  MILLRACE_ASSIGN(const std::string body, act(options, client));
  if (options.json) {
    fmt::print("{}", body);
    return {};
  }
  if (options.action == stream_action::remove) {
    fmt::print("deleted {}\n", options.name);
    return {};
  }
  MILLRACE_ASSIGN(const auto streams, parse_streams(body));
  if (options.action == stream_action::list) {
    print_list(streams);
  } else {
    for (const stream_summary& one : streams)
      print_stream(one);
  }
  return {};
}

}  // namespace

int run_stream(const stream_options& options) {
  auto outcome = run(options);
  if (outcome.ok()) return 0;
  fmt::print(stderr, "millrace stream: {}\n", outcome.failure().message());
  return outcome.failure().code() == error_code::invalid_argument ? 2 : 1;
}

}  // namespace millrace
