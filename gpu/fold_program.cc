#include "gpu/fold_program.h"

#include <algorithm>

#include "gpu/filter.h"

namespace millrace {
namespace {

/// Lays out parts; a part that an earlier aggregate has already is shared.
class layout {
 public:
  explicit layout(fold_program& program) : program_(program) {}

  std::uint16_t part(part_kind kind, field_type type, std::uint16_t column) {
    auto& parts = program_.parts;
    const auto same = std::ranges::find_if(parts, [&](const state_part& one) {
      return one.kind == kind && (kind == part_kind::records || one.column == column);
    });
    if (same != parts.end()) return static_cast<std::uint16_t>(same - parts.begin());
    const auto index = static_cast<std::uint16_t>(parts.size());
    if (is_sketch(kind)) program_.sketches.push_back(index);
    parts.push_back({kind, type, column, static_cast<std::uint16_t>(program_.empty.size())});
    program_.empty.insert(program_.empty.end(), words_of(kind), empty_word(kind));
    return index;
  }
  std::uint16_t word(part_kind kind, field_type type, std::uint16_t column) {
    return program_.parts[part(kind, type, column)].word;
  }

 private:
  fold_program& program_;
};

part_kind part_of(aggregate_kind kind, field_type type) {
  switch (kind) {
    case aggregate_kind::count:
      return part_kind::values;
    case aggregate_kind::sum:
    case aggregate_kind::avg:
      return type == field_type::int64 ? part_kind::sum_int : part_kind::sum_double;
    case aggregate_kind::stddev:
      return part_kind::sum_double;
    case aggregate_kind::min:
      return part_kind::least;
    case aggregate_kind::max:
      return part_kind::greatest;
    case aggregate_kind::approx_count_distinct:
      return part_kind::distinct;
    case aggregate_kind::approx_percentile:
      return part_kind::quantiles;
    case aggregate_kind::first:
      return part_kind::first;
    case aggregate_kind::last:
      return part_kind::last;
  }
  return part_kind::values;
}

result_part lay_out(layout& words, const aggregate_plan& aggregate, const fold_program& program) {
  result_part result{.kind = aggregate.kind, .quantile = aggregate.quantile};
  if (!aggregate.field) {
    result.part = words.part(part_kind::records, field_type::int64, 0);
    result.word = program.parts[result.part].word;
    return result;
  }
  const std::uint16_t column = program.columns[*aggregate.field];
  result.type = program.plan.fields[*aggregate.field].type;
  const part_kind kind = part_of(aggregate.kind, result.type);
  result.exact = kind == part_kind::sum_int;
  if (!is_sketch(kind)) result.values = words.word(part_kind::values, result.type, column);
  result.part = words.part(kind, result.type, column);
  result.word = program.parts[result.part].word;
  if (aggregate.kind == aggregate_kind::stddev) {
    result.word_2 = words.word(part_kind::squares, result.type, column);
  }
  return result;
}

}  // namespace

fold_program compile_fold(const view_plan& plan, std::span<const std::uint16_t> columns) {
  fold_program program;
  program.plan = plan;
  program.secret = draw_hash_secret();
  program.columns.assign(columns.begin(), columns.end());
  if (plan.time_field) program.time_column = columns[*plan.time_field];
  if (plan.filter) program.filter = compile_filter(*plan.filter, plan, columns);
  for (const std::uint16_t field : plan.group_by) {
    program.key.push_back({plan.fields[field].type, columns[field]});
  }
  program.key_bytes = 0;
  for (const key_field& field : program.key) {
    if (field.type == field_type::string) program.key_bytes.reset();
    if (program.key_bytes) *program.key_bytes += fixed_key_bytes(field.type);
  }
  layout words(program);
  // Always there: says how many records a group has.
  words.part(part_kind::records, field_type::int64, 0);
  for (const aggregate_plan& aggregate : plan.aggregates) {
    program.results.push_back(lay_out(words, aggregate, program));
  }
  return program;
}

namespace {

/// One bit pattern for every NaN: which one arithmetic makes differs between processors.
result_value real_result(double value) {
  return {canonical_double(bits_of(value)), false};
}

}  // namespace

result_value finish_part(const result_part& part, const std::uint64_t* state) {
  const std::uint64_t* const at = state + part.word;
  if (part.kind == aggregate_kind::count) return {at[0], false};
  const std::uint64_t values = state[part.values];
  if (values == 0) return {};
  const auto count = static_cast<double>(values);
  switch (part.kind) {
    case aggregate_kind::sum:
      if (!part.exact) return real_result(double_of(at[0]) + double_of(at[1]));
      // The sum fits when its high half is nothing but the sign of the low one.
      if (at[1] != ((at[0] & sign_bit) != 0 ? ~0ull : 0)) return {};
      return {at[0], false};
    case aggregate_kind::avg: {
      const double sum =
          part.exact ? sum_as_double(at[0], at[1]) : double_of(at[0]) + double_of(at[1]);
      return real_result(sum / count);
    }
    case aggregate_kind::stddev: {
      if (values < 2) return {};
      const std::uint64_t* const squares = state + part.word_2;
      const double deviations = squared_deviations(
          double_of(at[0]), double_of(at[1]), double_of(squares[0]), double_of(squares[1]), count);
      return real_result(__builtin_sqrt(deviations / (count - 1)));
    }
    case aggregate_kind::min:
    case aggregate_kind::max:
      return {from_ordered(part.type, at[0]), false};
    case aggregate_kind::first:
    case aggregate_kind::last:
      return {at[3], false};
    default:
      return {};
  }
}

}  // namespace millrace
