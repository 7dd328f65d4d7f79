#pragma once
/// A view's plan as folding runs it: which extracted column is what, the layout of a group's state,
/// and how results come out of it. Compiled once, the same for both backends.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gpu/aggregate.h"
#include "gpu/fold.h"
#include "gpu/group_hash.h"
#include "gpu/group_key.h"
#include "gpu/view_plan.h"

namespace millrace {

/// How one aggregate comes out of a group's state.
struct result_part {
  aggregate_kind kind{};
  field_type type{};         ///< of its field
  std::uint16_t word = 0;    ///< of its own part: of the sums for avg and stddev
  std::uint16_t word_2 = 0;  ///< stddev: of the squares
  std::uint16_t values = 0;  ///< of the count that says whether there is a result
  std::uint16_t part = 0;    ///< index of its own part
  bool exact = false;        ///< sum and avg: the sum is of integers
  double quantile = 0;
};

struct fold_program {
  view_plan plan;
  std::vector<std::uint16_t> columns;        ///< extracted column of each of plan.fields
  std::optional<std::uint16_t> time_column;  ///< none: arrival time
  std::vector<std::byte> filter;             ///< filter.h's block; empty: all records are taken
  std::vector<key_field> key;
  hash_secret secret;                      ///< of the tables of its groups, wherever they are
  std::optional<std::uint32_t> key_bytes;  ///< of every key, when no field of it is a string
  std::vector<state_part> parts;
  std::vector<std::uint64_t> empty;     ///< state of a group without records
  std::vector<result_part> results;     ///< one an aggregate
  std::vector<std::uint16_t> sketches;  ///< indexes of those of `parts` that are sketches

  std::uint32_t state_words() const { return static_cast<std::uint32_t>(empty.size()); }
};

/// `plan` has been checked; `columns` says where extraction puts each of its fields.
fold_program compile_fold(const view_plan& plan, std::span<const std::uint16_t> columns);

/// The result of any aggregate but the sketches.
result_value finish_part(const result_part& part, const std::uint64_t* state);

}  // namespace millrace
