#include "api/view_events.h"

#include <algorithm>

#include <fmt/format.h>

#include "analytics/time_text.h"
#include "api/json_text.h"
#include "api/view_json.h"
#include "base/clock.h"
#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::uint64_t piece_bytes = 64 * limits::kib;
/// A row of the widest view has a few KiB of JSON; this many stay near a piece's bytes.
constexpr std::size_t part_rows = 250;
/// A window that closed is seen this much later, at most.
constexpr std::uint64_t look_again_us = 25'000;

}  // namespace

view_events::view_events(const view_service& views, const view_plan& plan, const options& wanted)
    : views_(views),
      name_(plan.name),
      columns_(plan),
      options_(wanted),
      next_(wanted.from),
      last_sent_us_(monotonic_us()) {}

http_piece view_events::next() {
  http_piece out;
  while (out.bytes.size() < piece_bytes) {
    if (waiting_.empty() && !take_emissions(out.bytes)) {
      out.is_last = true;
      break;
    }
    if (waiting_.empty()) break;
    append_part(out.bytes);
  }
  const std::uint64_t now = monotonic_us();
  if (out.bytes.empty() && now - last_sent_us_ >= options_.keep_alive_us) out.bytes = ": alive\n\n";
  if (!out.bytes.empty()) last_sent_us_ = now;
  if (waiting_.empty()) out.again_after_us = look_again_us;
  return out;
}

/// False: that was all.
bool view_events::take_emissions(std::string& out) {
  auto more = views_.wait(name_, next_, 0);
  if (!more.ok()) {
    out += "event: fault\ndata: {\"message\":";
    append_json_string(out, more.failure().message());
    out += "}\n\n";
    return false;
  }
  if (more->empty()) return options_.follow;
  waiting_ = *std::move(more);
  const std::uint64_t first = waiting_.front().ordinal;
  if (first > next_)
    out += fmt::format("event: gap\ndata: {{\"from\":{},\"to\":{}}}\n\n", next_, first);
  next_ = waiting_.back().ordinal + 1;
  return true;
}

void view_events::append_part(std::string& out) {
  const emission& one = waiting_.front();
  const window_rows& rows = *one.windows;
  const std::size_t to = std::min(row_ + part_rows, rows.rows.size());
  const bool is_last = to == rows.rows.size();
  if (is_last) out += fmt::format("id: {}\n", one.ordinal);
  out += fmt::format(
      "event: windows\ndata: {{\"ordinal\":{},\"watermark\":\"{}\",\"part\":{},\"last\":{},"
      "\"rows\":[",
      one.ordinal, instant_text(one.watermark_us), part_, is_last);
  append_rows_json(out, columns_, rows, row_, to);
  out += "]}\n\n";
  row_ = to;
  ++part_;
  if (!is_last) return;
  row_ = 0;
  part_ = 0;
  waiting_.erase(waiting_.begin());
}

}  // namespace millrace
