#pragma once
/// Views that hold what a test puts into them.
#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "analytics/view_service.h"

namespace millrace {

/// One view "web" of stream "clicks", grouped by the string "page" and the int64 "status", with the
/// aggregates "requests" (count), "mean" (avg) and "seen" (last of a timestamp).
inline view_plan web_view() {
  view_plan plan;
  plan.name = "web";
  plan.stream = "clicks";
  plan.layout = record_layout::json;
  plan.fields = {
      {.name = "page", .type = field_type::string, .source = json_source{"page"}},
      {.name = "status", .type = field_type::int64, .source = json_source{"status"}},
      {.name = "at", .type = field_type::timestamp, .source = json_source{"at"}},
      {.name = "ms", .type = field_type::float64, .source = json_source{"ms"}},
  };
  plan.group_by = {0, 1};
  plan.window = {.kind = window_kind::tumbling, .size_us = 1'000'000, .hop_us = 1'000'000};
  plan.aggregates = {{.name = "requests", .kind = aggregate_kind::count, .field = {}},
                     {.name = "mean", .kind = aggregate_kind::avg, .field = 3},
                     {.name = "seen", .kind = aggregate_kind::last, .field = 2}};
  return plan;
}

/// Appends a row of that view, by group_key.h's encoding.
inline void add_row(window_rows& rows, std::int64_t second, std::string_view page,
                    std::optional<std::int64_t> status, std::uint64_t requests, double mean) {
  window_rows::row row{.start_us = second * 1'000'000,
                       .end_us = (second + 1) * 1'000'000,
                       .key_offset = rows.keys.size()};
  const auto put = [&](unsigned byte) { rows.keys.push_back(static_cast<std::byte>(byte)); };
  put(1);
  for (const char c : page) {
    put(static_cast<unsigned char>(c));
    if (c == '\0') put(0xff);
  }
  put(0);
  put(status ? 1 : 0);
  const std::uint64_t ordered =
      status ? static_cast<std::uint64_t>(*status) ^ 0x8000'0000'0000'0000u : 0;
  for (int i = 56; i >= 0; i -= 8)
    put(ordered >> i & 0xff);
  row.key_bytes = static_cast<std::uint32_t>(rows.keys.size() - row.key_offset);
  rows.rows.push_back(row);
  rows.values.push_back({.bits = requests, .is_null = false});
  rows.values.push_back({.bits = std::bit_cast<std::uint64_t>(mean), .is_null = false});
  rows.values.push_back({.bits = 0, .is_null = true});
}

class fake_views final : public view_service {
 public:
  fake_views() {
    view_.plan = web_view();
    view_.backend = "fake";
  }

  void emit(window_rows rows) {
    const std::scoped_lock lock(mutex_);
    view_.watermark_us = rows.rows.back().end_us;
    emissions_.push_back({.ordinal = view_.next_ordinal++,
                          .watermark_us = view_.watermark_us,
                          .windows = std::make_shared<const window_rows>(std::move(rows))});
  }
  /// As retention does.
  void forget_first() {
    const std::scoped_lock lock(mutex_);
    emissions_.erase(emissions_.begin());
  }
  template <class Change>
  void change(Change&& how) {
    const std::scoped_lock lock(mutex_);
    how(view_);
  }

  void start() override {}
  void stop() override {}
  std::vector<view_status> list() const override {
    const std::scoped_lock lock(mutex_);
    return {view_};
  }
  result<view_status> describe(const std::string& name) const override {
    const std::scoped_lock lock(mutex_);
    if (name != view_.plan.name)
      return error(error_code::not_found, "there is no view '" + name + "'");
    return view_;
  }
  result<window_rows> read(const std::string& name, const view_query& query) const override {
    MILLRACE_TRY(describe(name));
    const std::scoped_lock lock(mutex_);
    last_query = query;
    return emissions_.empty() ? window_rows() : *emissions_.back().windows;
  }
  result<std::vector<late_record>> read_late(const std::string&, std::uint32_t) const override {
    return std::vector<late_record>();
  }
  result<std::vector<emission>> wait(const std::string& name, std::uint64_t ordinal,
                                     std::uint64_t) const override {
    MILLRACE_TRY(describe(name));
    const std::scoped_lock lock(mutex_);
    if (!view_.fault.empty()) return error(error_code::unavailable, view_.fault);
    std::vector<emission> out;
    std::copy_if(emissions_.begin(), emissions_.end(), std::back_inserter(out),
                 [&](const emission& one) { return one.ordinal >= ordinal; });
    return out;
  }
  const counter_set& counters() const override { return counters_; }

  mutable view_query last_query;

 private:
  mutable std::mutex mutex_;
  view_status view_;
  std::vector<emission> emissions_;
  counter_set counters_;
};

}  // namespace millrace
