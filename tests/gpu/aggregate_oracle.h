#pragma once
/// Aggregates by their definitions, from vectors of records, with no arithmetic of the product but
/// the hash of distinct values and the bins of sketches.
#include <algorithm>
#include <tuple>
#include <vector>

#include "gpu/fold.h"
#include "tests/gpu/plain_record.h"
#include "tests/gpu/sketch_oracle.h"

namespace millrace::testing {

/// A result of the oracle: exactly these bits, or a double near this one.
struct expected_value {
  result_value value;
  double tolerance = 0;
};
inline std::uint64_t bits_of_real(double value) {
  return load<std::uint64_t>(&value);
}

/// Of numbers, at least one.
inline expected_value expected_number(const aggregate_plan& aggregate, bool is_real,
                                      const std::vector<const plain_record*>& records) {
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

/// What the aggregate is of a group of records.
inline expected_value expected_of(const view_plan& plan, const aggregate_plan& aggregate,
                                  const std::vector<const plain_record*>& all) {
  if (!aggregate.field) return {{all.size(), false}, 0};
  const std::uint16_t field = *aggregate.field;
  const field_type type = plan.fields[field].type;
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
  return expected_number(aggregate, is_real, records);
}

}  // namespace millrace::testing
