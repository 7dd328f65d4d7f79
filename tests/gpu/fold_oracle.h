#pragma once
/// Windows by their definitions (docs/decisions/0002-windows.md), from vectors of records: what
/// every window_fold is held against. Slow on purpose, and with no arithmetic of the product but
/// the extraction of fields and what the oracles of filters and aggregates take.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/record_format.h"
#include "gpu/extract.h"
#include "gpu/fold.h"
#include "gpu/view_plan.h"
#include "tests/gpu/aggregate_oracle.h"
#include "tests/gpu/filter_oracle.h"
#include "tests/gpu/plain_record.h"

namespace millrace::testing {

struct expected_row {
  std::int64_t end_us = 0;
  std::int64_t start_us = 0;
  std::string key;
  std::vector<expected_value> values;
};

class view_oracle {
 public:
  explicit view_oracle(view_plan plan)
      : plan_(std::move(plan)),
        extractor_(*extractor::compile(plan_.layout, plan_.csv_delimiter, plan_.fields)) {}

  /// One record in the order of its shard.
  void add(const record_input& input, shard_clock& clock, fold_job::view_part& part) {
    std::vector<field_value> raw(plan_.fields.size());
    extractor_.extract({&input, 1}, raw.data(), 1);
    plain_record record = plain(input, raw);
    for (const field_value& one : raw) {
      part.counts.nulls += one.state == value_state::wrong_type ? 1 : 0;
    }
    const bool is_taken = !plan_.filter || passes(*plan_.filter, record) == true;
    bool has_time = true;
    record.time_us = static_cast<std::int64_t>(input.arrival_us);
    if (plan_.time_field) {
      const plain_value& time = record.fields[*plan_.time_field];
      has_time = !time.is_null && time.integer >= -(1ll << 61) && time.integer < (1ll << 61);
      record.time_us = time.integer;
    }
    bool is_late = false;
    bool is_future = false;
    std::int64_t watermark = clock.floor_us;
    if (has_time) {
      if (clock.newest_us != shard_clock::never) {
        watermark = std::max(watermark, clock.newest_us - plan_.delay_us);
      }
      is_late = record.time_us < watermark;
      is_future =
          record.time_us - static_cast<std::int64_t>(input.arrival_us) > plan_.future_max_us;
      if (!is_future) clock.newest_us = std::max(clock.newest_us, record.time_us);
    }
    if (!is_taken) {
      ++part.counts.filtered;
    } else if (!has_time) {
      ++part.counts.no_time;
    } else if (is_late) {
      ++part.counts.late;
      part.late.push_back(
          {record.time_us, watermark, shard_index(input.shard), record_index(input.number)});
    } else {
      part.counts.future += is_future ? 1 : 0;
      record.key = encode_key(plan_, record);
      if (record.key.size() > limits::group_key_bytes_max) {
        ++part.counts.left_out;
        return;
      }
      ++part.counts.folded;
      records_.push_back(std::move(record));
    }
  }

  /// The rows of the windows that end at or before it, and forgets what no later window needs.
  std::vector<expected_row> close(std::int64_t watermark_us) {
    std::vector<expected_row> rows;
    for (auto& [place, window] : windows()) {
      if (place.end_us <= watermark_us && place.end_us > closed_until_us_) {
        append_rows(place.start_us, place.end_us, window, rows);
      }
    }
    closed_until_us_ = std::max(closed_until_us_, watermark_us);
    forget_closed();
    sort(rows);
    return rows;
  }
  std::vector<expected_row> open() {
    std::vector<expected_row> rows;
    for (auto& [place, window] : windows()) {
      if (place.end_us > closed_until_us_) append_rows(place.start_us, place.end_us, window, rows);
    }
    sort(rows);
    return rows;
  }
  std::uint64_t open_groups() const {
    std::set<std::pair<std::int64_t, std::string>> groups;
    if (plan_.window.kind == window_kind::session) return sessions().size();
    for (const plain_record& one : records_)
      groups.insert({floor_of(one.time_us), one.key});
    return groups.size();
  }
  const view_plan& plan() const { return plan_; }

 private:
  using group_map = std::map<std::string, std::vector<const plain_record*>>;
  struct window_place {
    std::int64_t end_us, start_us;
    std::string session_key;  ///< sessions: each is a window of its own
    auto operator<=>(const window_place&) const = default;
  };
  struct session {
    std::int64_t first_us, last_us;
    std::string key;
    std::vector<const plain_record*> records;
  };

  plain_record plain(const record_input& input, const std::vector<field_value>& raw) const {
    plain_record record{
        .time_us = 0, .shard = input.shard, .number = input.number, .fields = {}, .key = {}};
    for (std::size_t i = 0; i < raw.size(); ++i) {
      plain_value value{.is_null = raw[i].is_null(), .integer = 0, .real = 0, .text = {}};
      if (!value.is_null) {
        if (plan_.fields[i].type == field_type::string) {
          value.text = text_of(raw[i]);
        } else if (plan_.fields[i].type == field_type::float64) {
          value.real = load<double>(&raw[i].bits);
        } else {
          value.integer = static_cast<std::int64_t>(raw[i].bits);
        }
      }
      record.fields.push_back(std::move(value));
    }
    return record;
  }

  std::int64_t floor_of(std::int64_t time_us) const {
    const std::int64_t hop = plan_.window.hop_us;
    std::int64_t pane = (time_us - plan_.window.offset_us) / hop;
    while (pane * hop + plan_.window.offset_us > time_us)
      --pane;
    return pane * hop + plan_.window.offset_us;
  }

  std::vector<session> sessions() const {
    std::map<std::string, std::vector<const plain_record*>> by_key;
    for (const plain_record& one : records_)
      by_key[one.key].push_back(&one);
    std::vector<session> all;
    for (auto& [key, records] : by_key) {
      std::ranges::stable_sort(records, {}, &plain_record::time_us);
      for (const plain_record* one : records) {
        if (all.empty() || all.back().key != key ||
            one->time_us - all.back().last_us >= plan_.window.size_us) {
          all.push_back({one->time_us, one->time_us, key, {}});
        }
        all.back().last_us = one->time_us;
        all.back().records.push_back(one);
      }
    }
    return all;
  }

  std::map<window_place, group_map> windows() const {
    std::map<window_place, group_map> all;
    const window_plan& window = plan_.window;
    if (window.kind == window_kind::session) {
      for (const session& one : sessions()) {
        all[{one.last_us + window.size_us, one.first_us, one.key}][one.key] = one.records;
      }
      return all;
    }
    for (const plain_record& one : records_) {
      const std::int64_t pane = floor_of(one.time_us);
      for (std::int64_t start = pane; start > pane - window.size_us; start -= window.hop_us) {
        all[{start + window.size_us, start, {}}][one.key].push_back(&one);
      }
    }
    return all;
  }

  void forget_closed() {
    if (plan_.window.kind == window_kind::session) {
      std::set<const plain_record*> gone;
      for (const session& one : sessions()) {
        if (one.last_us + plan_.window.size_us > closed_until_us_) continue;
        gone.insert(one.records.begin(), one.records.end());
      }
      std::vector<plain_record> kept;
      for (plain_record& one : records_) {
        if (!gone.contains(&one)) kept.push_back(std::move(one));
      }
      records_ = std::move(kept);
      return;
    }
    std::erase_if(records_, [&](const plain_record& one) {
      return floor_of(one.time_us) + plan_.window.size_us <= closed_until_us_;
    });
  }

  void append_rows(std::int64_t start_us, std::int64_t end_us, const group_map& groups,
                   std::vector<expected_row>& out) const {
    std::vector<expected_row> rows;
    for (const auto& [key, records] : groups) {
      expected_row row{end_us, start_us, key, {}};
      for (const aggregate_plan& one : plan_.aggregates)
        row.values.push_back(expected_of(plan_, one, records));
      rows.push_back(std::move(row));
    }
    if (plan_.top) keep_top(rows);
    std::ranges::move(rows, std::back_inserter(out));
  }
  void keep_top(std::vector<expected_row>& rows) const {
    const std::size_t at = plan_.top->aggregate;
    const bool is_real = type_of(plan_.aggregates[at], plan_) == field_type::float64;
    std::ranges::stable_sort(rows, [&](const expected_row& a, const expected_row& b) {
      const result_value& x = a.values[at].value;
      const result_value& y = b.values[at].value;
      if (x.is_null || y.is_null) return !x.is_null && y.is_null;
      if (is_real) return load<double>(&x.bits) > load<double>(&y.bits);
      return static_cast<std::int64_t>(x.bits) > static_cast<std::int64_t>(y.bits);
    });
    if (rows.size() > plan_.top->count) rows.resize(plan_.top->count);
  }
  static void sort(std::vector<expected_row>& rows) {
    std::ranges::sort(rows, [](const expected_row& a, const expected_row& b) {
      return std::tie(a.end_us, a.start_us, a.key) < std::tie(b.end_us, b.start_us, b.key);
    });
  }

  view_plan plan_;
  extractor extractor_;
  std::vector<plain_record> records_;
  std::int64_t closed_until_us_ = shard_clock::never;
};

}  // namespace millrace::testing
