#include "api/admin_views.h"

#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "analytics/time_text.h"
#include "api/admin_answers.h"
#include "api/record_reading.h"
#include "api/view_events.h"
#include "api/view_json.h"
#include "shards/sequence_number.h"
#include "shards/shard_lineage.h"

namespace millrace {
namespace {

constexpr std::uint64_t rows_max = 100'000;
constexpr std::uint64_t rows_default = 1'000;
/// Each is read from the log.
constexpr std::uint64_t late_rows_max = 1'000;
constexpr std::string_view late_suffix = "$late";

result<std::int64_t> time_parameter(const http_request& request, std::string_view name,
                                    std::int64_t otherwise) {
  const auto text = request.parameter(name);
  if (!text) return otherwise;
  if (const auto time = parse_instant(*text)) return *time;
  double seconds = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (problem != std::errc() || end != text->data() + text->size() ||
      !(seconds > -1e12 && seconds < 1e12))
    return error(error_code::invalid_argument,
                 fmt::format("{} '{}' is no time: seconds since 1970, or 2026-01-31T12:00:00Z",
                             name, *text));
  return static_cast<std::int64_t>(seconds * 1e6);
}

/// ?format=, or else what the client says it takes.
result<bool> wants_csv(const http_request& request) {
  if (const auto format = request.parameter("format")) {
    if (*format == "csv" || *format == "json") return *format == "csv";
    return error(error_code::invalid_argument,
                 fmt::format("format '{}' is none of json, csv", *format));
  }
  return request.header("Accept").starts_with("text/csv");
}

/// Where a stream of events begins.
result<std::uint64_t> first_ordinal(const http_request& request, const view_status& view) {
  const auto number = [](std::string_view what, std::string_view text) -> result<std::uint64_t> {
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || problem != std::errc() || end != text.data() + text.size())
      return error(error_code::invalid_argument,
                   fmt::format("{} '{}' is no ordinal of an emission", what, text));
    return value;
  };
  if (const std::string_view last = request.header("Last-Event-ID"); !last.empty()) {
    MILLRACE_ASSIGN(const std::uint64_t ordinal, number("Last-Event-ID", last));
    return ordinal + 1;
  }
  const std::string_view from = request.parameter("from").value_or("latest");
  if (from == "latest") return view.next_ordinal;
  if (from == "trim-horizon") return std::uint64_t{0};
  return number("from", from);
}

}  // namespace

http_response admin_views::handle(const http_request& request, std::string_view rest) const {
  if (request.method != "GET" && request.method != "HEAD") return not_allowed("GET");
  if (!rest.empty()) rest.remove_prefix(1);
  const auto finish = [](result<http_response> outcome) {
    return outcome.ok() ? *std::move(outcome) : refuse(outcome.failure());
  };
  if (rest.empty()) return finish(list());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string name(rest.substr(0, slash));
  const std::string_view action = rest.substr(slash);
  if (action.empty()) return finish(read(request, name));
  if (action == "/stream") return finish(stream(request, name));
  return no_such_path();
}

result<http_response> admin_views::list() const {
  std::string out = "{\"views\":[";
  const char* between = "";
  for (const view_status& view : views_ == nullptr ? std::vector<view_status>() : views_->list()) {
    out += between + view_json(view);
    between = ",\n";
  }
  return answer(200, out + "]}\n");
}

result<http_response> admin_views::read(const http_request& request, std::string name) const {
  const bool asks_late = name.ends_with(late_suffix);
  if (asks_late) name.resize(name.size() - late_suffix.size());
  const std::string_view state = request.parameter("state").value_or(asks_late ? "late" : "closed");
  if (state != "open" && state != "closed" && state != "late")
    return error(error_code::invalid_argument,
                 fmt::format("state '{}' is none of open, closed, late", state));
  if (views_ == nullptr)
    return error(error_code::not_found, fmt::format("there is no view '{}'", name));
  MILLRACE_ASSIGN(const view_status view, views_->describe(name));
  MILLRACE_ASSIGN(const std::uint64_t limit,
                  number_parameter(request, "limit", state == "late" ? 100 : rows_default,
                                   state == "late" ? late_rows_max : rows_max));
  if (state == "late") return read_late(view, static_cast<std::uint32_t>(limit));

  view_query query;
  query.open = state == "open";
  query.rows_max = static_cast<std::uint32_t>(limit);
  MILLRACE_ASSIGN(query.from_us, time_parameter(request, "from", query.from_us));
  MILLRACE_ASSIGN(query.to_us, time_parameter(request, "to", query.to_us));
  MILLRACE_ASSIGN(const bool csv, wants_csv(request));
  MILLRACE_ASSIGN(const window_rows rows, views_->read(name, query));
  const view_columns columns(view.plan);
  if (csv) {
    http_response out = answer(200, rows_csv(columns, rows));
    out.content_type = "text/csv; charset=utf-8";
    return out;
  }
  std::string out =
      fmt::format("{{\"view\":{},\n\"state\":\"{}\",\"rows\":[", view_json(view), state);
  append_rows_json(out, columns, rows, 0, rows.rows.size());
  return answer(200, out + "]}\n");
}

/// A late record as it lies in the log; its key and data are missing once retention took it.
result<http_response> admin_views::read_late(const view_status& view,
                                             std::uint32_t late_max) const {
  MILLRACE_ASSIGN(const auto late, views_->read_late(view.plan.name, late_max));
  MILLRACE_ASSIGN(const auto log, streams_.log_of(view.plan.stream));
  MILLRACE_ASSIGN(const stream_status stream, streams_.describe(view.plan.stream));
  std::string out = fmt::format("{{\"view\":{},\n\"state\":\"late\",\"rows\":[", view_json(view));
  const char* between = "";
  for (const late_record& one : late) {
    out += fmt::format("{}{{\"time\":\"{}\",\"watermark\":\"{}\",\"shard\":\"{}\"", between,
                       instant_text(one.time_us), instant_text(one.watermark_us),
                       shard_name(one.shard));
    out += fmt::format(",\"record_number\":{}", one.number.value);
    std::string members;
    if (append_record_members(members, stream.description, *log, one.shard, one.number))
      out += "," + members;
    out += '}';
    between = ",\n";
  }
  return answer(200, out + "]}\n");
}

result<http_response> admin_views::stream(const http_request& request,
                                          const std::string& name) const {
  if (views_ == nullptr)
    return error(error_code::not_found, fmt::format("there is no view '{}'", name));
  MILLRACE_ASSIGN(const view_status view, views_->describe(name));
  view_events::options wanted;
  MILLRACE_ASSIGN(wanted.from, first_ordinal(request, view));
  const std::string_view follow = request.parameter("follow").value_or("true");
  if (follow != "true" && follow != "false")
    return error(error_code::invalid_argument,
                 fmt::format("follow '{}' is none of true, false", follow));
  wanted.follow = follow == "true";
  http_response out;
  out.content_type = "text/event-stream";
  // A client that reconnects by itself waits so long.
  out.body = "retry: 1000\n\n";
  out.more = [events = std::make_shared<view_events>(*views_, view.plan, wanted)] {
    return events->next();
  };
  return out;
}

std::vector<std::string> admin_views::faults() const {
  std::vector<std::string> out;
  if (views_ == nullptr) return out;
  for (const view_status& view : views_->list()) {
    if (!view.fault.empty())
      out.push_back(fmt::format("view '{}': {}", view.plan.name, view.fault));
  }
  return out;
}

}  // namespace millrace
