#pragma once
/// Views that differ in their filters, over the fields of fold_stream.h: every comparison of every
/// type, and their combinations, where fields are null and where they are not.
#include <string>
#include <utility>
#include <vector>

#include "tests/gpu/fold_stream.h"

namespace millrace::testing {

using filter_kind = filter_plan::kind;

inline filter_plan compares(filter_kind op, std::uint16_t field,
                            std::vector<filter_plan::literal> values) {
  return {.op = op, .parts = {}, .field = field, .values = std::move(values)};
}
inline filter_plan is_null(std::uint16_t field) {
  return {.op = filter_kind::is_null, .parts = {}, .field = field, .values = {}};
}
inline filter_plan combines(filter_kind op, std::vector<filter_plan> parts) {
  return {.op = op, .parts = std::move(parts), .field = 0, .values = {}};
}
inline filter_plan no(filter_plan part) {
  return combines(filter_kind::negation, {std::move(part)});
}

/// A comparison of each kind with a value that records have, per type.
inline std::vector<filter_plan> every_comparison() {
  using text = std::string;
  const std::vector<std::pair<std::uint16_t, filter_plan::literal>> fields = {
      {int_f, std::int64_t{-3}},
      {real_f, 127.5},
      {flag_f, true},
      {text_f, text("text 5")},
      {key_f, text("5kk")},
      {time_f, std::int64_t{1'700'000'000'200'000}},
      {int_f, INT64_MIN},
      {real_f, __builtin_nan("")},
      {real_f, -0.0},
      {text_f, text()},
      {flag_f, false},
  };
  std::vector<filter_plan> all;
  for (const auto& [field, value] : fields) {
    for (const filter_kind op :
         {filter_kind::equal, filter_kind::not_equal, filter_kind::less, filter_kind::less_equal,
          filter_kind::greater, filter_kind::greater_equal})
      all.push_back(compares(op, field, {value}));
    all.push_back(is_null(field));
  }
  all.push_back(
      compares(filter_kind::one_of, int_f, {std::int64_t{1}, std::int64_t{2}, INT64_MAX}));
  all.push_back(compares(filter_kind::one_of, real_f, {0.0, __builtin_nan(""), 1e140}));
  all.push_back(compares(filter_kind::one_of, flag_f, {true, false}));
  all.push_back(
      compares(filter_kind::one_of, text_f, {text("text 919"), text("text 0"), text("text")}));
  all.push_back(compares(filter_kind::has_prefix, text_f, {text("text 9")}));
  all.push_back(compares(filter_kind::has_prefix, text_f, {text()}));
  all.push_back(compares(filter_kind::has_prefix, text_f, {text("text 919 and more than it has")}));
  all.push_back(compares(filter_kind::has_prefix, key_f, {text("1")}));
  return all;
}

/// Of the three values: true, false, and unknown where `field` is null.
inline std::vector<filter_plan> every_combination() {
  const filter_plan flag = compares(filter_kind::equal, flag_f, {true});
  const filter_plan positive = compares(filter_kind::greater, int_f, {std::int64_t{0}});
  const filter_plan prefix = compares(filter_kind::has_prefix, text_f, {std::string("text 9")});
  const filter_plan listed =
      compares(filter_kind::one_of, int_f, {std::int64_t{1}, std::int64_t{2}});
  std::vector<filter_plan> all = {no(flag), no(prefix), no(listed), no(no(flag)),
                                  no(is_null(flag_f))};
  for (const filter_kind op : {filter_kind::all_of, filter_kind::any_of}) {
    all.push_back(combines(op, {flag}));
    all.push_back(combines(op, {flag, positive}));
    all.push_back(combines(op, {no(flag), no(positive)}));
    all.push_back(no(combines(op, {flag, positive})));
    all.push_back(no(combines(op, {flag, no(prefix), positive})));
    all.push_back(combines(op, {is_null(flag_f), no(is_null(text_f)), prefix}));
    const filter_kind other = op == filter_kind::all_of ? filter_kind::any_of : filter_kind::all_of;
    all.push_back(
        combines(op, {combines(other, {flag, prefix}), no(combines(other, {positive, listed}))}));
  }
  // As deep as a filter may be.
  filter_plan deep = flag;
  for (int depth = 1; depth < 32; ++depth) {
    deep = depth % 3 == 0 ? no(std::move(deep))
                          : combines(depth % 3 == 1 ? filter_kind::any_of : filter_kind::all_of,
                                     {positive, std::move(deep)});
  }
  all.push_back(std::move(deep));
  return all;
}

/// A view a filter, each of counts by group.
inline std::vector<view_plan> filtered_plans(std::vector<filter_plan> filters) {
  std::vector<view_plan> plans;
  for (filter_plan& one : filters) {
    view_plan plan = stream_plan();
    plan.name = "filter" + std::to_string(plans.size());
    plan.aggregates.resize(3);
    plan.filter = std::move(one);
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace millrace::testing
