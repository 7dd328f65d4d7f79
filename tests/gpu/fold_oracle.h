#pragma once
/// Windows by their definitions (docs/decisions/0002-windows.md), from vectors of records: what
/// every window_fold is held against. Slow on purpose, and with no arithmetic of the product but
/// the extraction of fields, the hash of distinct values and the bins of sketches.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/record_format.h"
#include "gpu/extract.h"
#include "gpu/fold.h"
#include "gpu/text_reader.h"
#include "gpu/view_plan.h"
#include "tests/gpu/sketch_oracle.h"

namespace millrace::testing {

/// A value as people see it.
struct plain_value {
  bool is_null = true;
  std::int64_t integer = 0;  ///< int64, timestamp, bool
  double real = 0;           ///< float64
  std::string text;
};

struct plain_record {
  std::int64_t time_us = 0;
  std::uint32_t shard = 0;
  std::uint64_t number = 0;
  std::vector<plain_value> fields;
  std::string key;
};

/// A result of the oracle: exactly these bits, or a double near this one.
struct expected_value {
  result_value value;
  double tolerance = 0;
};
struct expected_row {
  std::int64_t end_us = 0;
  std::int64_t start_us = 0;
  std::string key;
  std::vector<expected_value> values;
};

inline std::string text_of(const field_value& value) {
  std::string text;
  text_reader reader(value);
  for (int c = reader.next(); c != text_reader::at_end; c = reader.next()) {
    text.push_back(static_cast<char>(c));
  }
  return text;
}

/// group_key.h's encoding, from its description.
inline std::string encode_key(const view_plan& plan, const plain_record& record) {
  std::string key;
  for (const std::uint16_t field : plan.group_by) {
    const plain_value& value = record.fields[field];
    const field_type type = plan.fields[field].type;
    if (type == field_type::string) {
      if (value.is_null) {
        key += '\0';
        continue;
      }
      key += '\1';
      for (const char c : value.text)
        key += c == 0 ? std::string("\0\xff", 2) : std::string(1, c);
      key += '\0';
    } else if (value.is_null) {
      key += std::string(type == field_type::boolean ? 2 : 9, '\0');
    } else if (type == field_type::boolean) {
      key += '\1';
      key += static_cast<char>(value.integer);
    } else {
      key += '\1';
      std::uint64_t bits = static_cast<std::uint64_t>(value.integer) + (1ull << 63);
      if (type == field_type::float64) {
        const double real = value.real == 0 ? 0 : value.real;
        const std::uint64_t raw = real != real ? 0x7ff8000000000000u : load<std::uint64_t>(&real);
        bits = (raw >> 63) != 0 ? ~raw : raw | 1ull << 63;
      }
      for (int shift = 56; shift >= 0; shift -= 8)
        key += static_cast<char>(bits >> shift);
    }
  }
  return key;
}

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

  /// Three-valued: nothing is unknown.
  std::optional<bool> passes(const filter_plan& part, const plain_record& record) const;

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
        row.values.push_back(result(one, records));
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

  expected_value result(const aggregate_plan& aggregate,
                        const std::vector<const plain_record*>& records) const;
  expected_value number(const aggregate_plan& aggregate, bool is_real,
                        const std::vector<const plain_record*>& records) const;

  view_plan plan_;
  extractor extractor_;
  std::vector<plain_record> records_;
  std::int64_t closed_until_us_ = shard_clock::never;
};

inline std::uint64_t bits_of_real(double value) {
  return load<std::uint64_t>(&value);
}

inline expected_value view_oracle::result(const aggregate_plan& aggregate,
                                          const std::vector<const plain_record*>& all) const {
  if (!aggregate.field) return {{all.size(), false}, 0};
  const std::uint16_t field = *aggregate.field;
  const field_type type = plan_.fields[field].type;
  std::vector<const plain_record*> records;
  for (const plain_record* one : all) {
    if (!one->fields[field].is_null) records.push_back(one);
  }
  if (aggregate.kind == aggregate_kind::count) return {{records.size(), false}, 0};
  const bool is_real = type == field_type::float64;
  if (aggregate.kind == aggregate_kind::approx_count_distinct) {
    distinct_oracle distinct;
    for (const plain_record* one : records) {
      const plain_value& value = one->fields[field];
      if (type == field_type::string) {
        distinct.add_text(value.text);
      } else {
        distinct.add_bits(
            is_real ? bits_of_real(value.real) : static_cast<std::uint64_t>(value.integer),
            is_real);
      }
    }
    return {{distinct.estimate(), false}, 0};
  }
  if (aggregate.kind == aggregate_kind::approx_percentile) {
    quantile_oracle quantiles;
    for (const plain_record* one : records) {
      const plain_value& value = one->fields[field];
      quantiles.add(is_real ? value.real : static_cast<double>(value.integer));
    }
    return {quantiles.at(aggregate.quantile), 0};
  }
  if (records.empty()) return {};
  return number(aggregate, is_real, records);
}

inline expected_value view_oracle::number(const aggregate_plan& aggregate, bool is_real,
                                          const std::vector<const plain_record*>& records) const {
  const std::uint16_t field = *aggregate.field;
  const auto value_of = [&](const plain_record* one) {
    const plain_value& value = one->fields[field];
    return is_real ? bits_of_real(value.real) : static_cast<std::uint64_t>(value.integer);
  };
  const auto place_of = [](const plain_record* one) {
    return std::tuple(one->time_us, one->shard, one->number);
  };
  __extension__ __int128 exact = 0;
  long double sum = 0, magnitude = 0;
  bool has_nan = false;
  std::vector<double> reals;
  for (const plain_record* one : records) {
    const plain_value& value = one->fields[field];
    exact += value.integer;
    const double real = is_real ? value.real : static_cast<double>(value.integer);
    has_nan |= real != real;
    reals.push_back(real);
    sum += static_cast<long double>(real);
    magnitude += static_cast<long double>(real < 0 ? -real : real);
  }
  const auto count = static_cast<long double>(records.size());
  switch (aggregate.kind) {
    case aggregate_kind::sum:
      if (is_real) {
        return {{bits_of_real(static_cast<double>(sum)), false},
                static_cast<double>(magnitude * 1e-15L)};
      }
      if (exact > INT64_MAX || exact < INT64_MIN) return {};
      return {{static_cast<std::uint64_t>(static_cast<std::int64_t>(exact)), false}, 0};
    case aggregate_kind::avg: {
      const long double mean = (is_real ? sum : static_cast<long double>(exact)) / count;
      return {{bits_of_real(static_cast<double>(mean)), false},
              static_cast<double>(magnitude / count * 1e-15L)};
    }
    case aggregate_kind::stddev: {
      if (records.size() < 2) return {};
      const long double mean = sum / count;
      long double squares = 0;
      for (const double one : reals) {
        squares += (static_cast<long double>(one) - mean) * (static_cast<long double>(one) - mean);
      }
      const long double deviation = __builtin_sqrtl(squares / (count - 1));
      return {{bits_of_real(static_cast<double>(deviation)), false},
              static_cast<double>(deviation * 1e-12L + magnitude / count * 1e-15L) + 1e-150};
    }
    case aggregate_kind::min:
    case aggregate_kind::max: {
      const bool is_max = aggregate.kind == aggregate_kind::max;
      if (!is_real) {
        const auto integer = [&](const plain_record* one) { return one->fields[field].integer; };
        const plain_record* best = is_max ? *std::ranges::max_element(records, {}, integer)
                                          : *std::ranges::min_element(records, {}, integer);
        return {{value_of(best), false}, 0};
      }
      // NaN stands above all numbers.
      std::erase_if(reals, [](double x) { return x != x; });
      if (reals.empty() || (is_max && has_nan)) return {{0x7ff8000000000000u, false}, 0};
      const double best =
          is_max ? *std::ranges::max_element(reals) : *std::ranges::min_element(reals);
      return {{bits_of_real(best == 0 ? 0.0 : best), false}, 0};
    }
    case aggregate_kind::first:
      return {{value_of(*std::ranges::min_element(records, {}, place_of)), false}, 0};
    case aggregate_kind::last:
      return {{value_of(*std::ranges::max_element(records, {}, place_of)), false}, 0};
    default:
      return {};
  }
}

inline std::optional<bool> view_oracle::passes(const filter_plan& part,
                                               const plain_record& record) const {
  using kind = filter_plan::kind;
  if (part.op == kind::all_of || part.op == kind::any_of) {
    // The first of false (all) or true (any) decides; else unknown, if any is.
    const bool decides = part.op == kind::any_of;
    bool is_unknown = false;
    for (const filter_plan& one : part.parts) {
      const std::optional<bool> value = passes(one, record);
      if (value == decides) return decides;
      is_unknown |= !value.has_value();
    }
    return is_unknown ? std::nullopt : std::optional(!decides);
  }
  if (part.op == kind::negation) {
    const std::optional<bool> value = passes(part.parts[0], record);
    return value ? std::optional(!*value) : std::nullopt;
  }
  const plain_value& value = record.fields[part.field];
  if (part.op == kind::is_null) return value.is_null;
  if (value.is_null) return std::nullopt;
  // NaN equals itself and stands above all numbers, as in the order of results.
  const auto compare = [&](const filter_plan::literal& with) -> int {
    if (const auto* text = std::get_if<std::string>(&with)) {
      return value.text < *text ? -1 : value.text == *text ? 0 : 1;
    }
    if (const auto* real = std::get_if<double>(&with)) {
      const bool a = value.real != value.real, b = *real != *real;
      if (a || b) return a == b ? 0 : a ? 1 : -1;
      return value.real < *real ? -1 : value.real == *real ? 0 : 1;
    }
    const std::int64_t integer = std::holds_alternative<bool>(with)
                                     ? std::int64_t{std::get<bool>(with)}
                                     : std::get<std::int64_t>(with);
    return value.integer < integer ? -1 : value.integer == integer ? 0 : 1;
  };
  switch (part.op) {
    case kind::equal:
      return compare(part.values[0]) == 0;
    case kind::not_equal:
      return compare(part.values[0]) != 0;
    case kind::less:
      return compare(part.values[0]) < 0;
    case kind::less_equal:
      return compare(part.values[0]) <= 0;
    case kind::greater:
      return compare(part.values[0]) > 0;
    case kind::greater_equal:
      return compare(part.values[0]) >= 0;
    case kind::one_of:
      return std::ranges::any_of(part.values, [&](const auto& one) { return compare(one) == 0; });
    default:
      return value.text.starts_with(std::get<std::string>(part.values[0]));
  }
}

}  // namespace millrace::testing
