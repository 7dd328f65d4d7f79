#include "gpu/state_update.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace millrace {
namespace {

/// update(words of the part, value's bits, record of the batch) for each value that is not null.
template <class Update>
void for_values(const state_part& part, const fold_batch& batch, std::uint32_t first,
                Update update) {
  const field_value* const column = batch.chunk->column(part.column);
  for (std::uint32_t i = first; i < batch.count; ++i) {
    const field_value& value = column[batch.index[i]];
    if (!value.is_null()) update(batch.state[i] + part.word, value.bits, i);
  }
}

/// The same with the kind, and what it asks of the type, known to the compiler.
template <part_kind Kind>
void update_simple(const state_part& part, const fold_batch& batch, std::uint32_t first) {
  if (part.type == field_type::float64) {
    for_values(part, batch, first, [](std::uint64_t* at, std::uint64_t bits, std::uint32_t) {
      update_part<plain_words>({Kind, field_type::float64, 0, 0}, at, bits);
    });
  } else {
    for_values(part, batch, first, [](std::uint64_t* at, std::uint64_t bits, std::uint32_t) {
      update_part<plain_words>({Kind, field_type::int64, 0, 0}, at, bits);
    });
  }
}

// --- the usual parts of one field, together
// -------------------------------------------------------

/// Which of them there are.
enum numbers : unsigned {
  has_values = 1,
  has_sum = 2,
  has_least = 4,
  has_greatest = 8,
  number_sets = 16,
};
/// Where they are in the state.
struct number_words {
  std::uint16_t values = 0;
  std::uint16_t sum = 0;
  std::uint16_t least = 0;
  std::uint16_t greatest = 0;
};

/// A record's row is touched once for all of them.
template <unsigned Set, field_type Type>
void update_numbers(const number_words& words, std::uint16_t column_number, const fold_batch& batch,
                    std::uint32_t first) {
  const number_words at = words;
  const field_value* const column = batch.chunk->column(column_number);
  for (std::uint32_t i = first; i < batch.count; ++i) {
    const field_value& value = column[batch.index[i]];
    if (value.is_null()) continue;
    const std::uint64_t bits = value.bits;
    std::uint64_t* const state = batch.state[i];
    if constexpr ((Set & has_values) != 0) ++state[at.values];
    if constexpr ((Set & has_sum) != 0) {
      constexpr part_kind kind =
          Type == field_type::float64 ? part_kind::sum_double : part_kind::sum_int;
      update_part<plain_words>({kind, Type, 0, 0}, state + at.sum, bits);
    }
    if constexpr ((Set & has_least) != 0)
      update_part<plain_words>({part_kind::least, Type, 0, 0}, state + at.least, bits);
    if constexpr ((Set & has_greatest) != 0)
      update_part<plain_words>({part_kind::greatest, Type, 0, 0}, state + at.greatest, bits);
  }
}

using number_update = void (*)(const number_words&, std::uint16_t, const fold_batch&,
                               std::uint32_t);
template <field_type Type, std::size_t... Sets>
constexpr std::array<number_update, number_sets> updates_of(std::index_sequence<Sets...>) {
  return {update_numbers<Sets, Type>...};
}
constexpr auto integer_updates =
    updates_of<field_type::int64>(std::make_index_sequence<number_sets>());
constexpr auto real_updates =
    updates_of<field_type::float64>(std::make_index_sequence<number_sets>());

/// Adds the part to the set, if it is one of them.
bool add_number(const state_part& part, unsigned& set, number_words& words) {
  switch (part.kind) {
    case part_kind::values:
      set |= has_values;
      words.values = part.word;
      return true;
    case part_kind::sum_int:
      set |= has_sum;
      words.sum = part.word;
      return true;
    case part_kind::sum_double:
      if (part.type != field_type::float64) return false;
      set |= has_sum;
      words.sum = part.word;
      return true;
    case part_kind::least:
      set |= has_least;
      words.least = part.word;
      return true;
    case part_kind::greatest:
      set |= has_greatest;
      words.greatest = part.word;
      return true;
    default:
      return false;
  }
}

/// From `parts` on, as many as are such parts of one field. Returns how many.
std::size_t update_together(std::span<const state_part> parts, const fold_batch& batch,
                            std::uint32_t first) {
  unsigned set = 0;
  number_words words;
  std::size_t count = 0;
  while (count < parts.size() && parts[count].column == parts[0].column &&
         add_number(parts[count], set, words)) {
    ++count;
  }
  if (count == 0) return 0;
  const auto& updates = parts[0].type == field_type::float64 ? real_updates : integer_updates;
  updates[set](words, parts[0].column, batch, first);
  return count;
}

void update_places(const state_part& part, const fold_batch& batch, std::uint32_t first) {
  for_values(part, batch, first, [&](std::uint64_t* at, std::uint64_t bits, std::uint32_t i) {
    const record_input& record = batch.chunk->room[batch.index[i]];
    std::uint64_t words[4];
    place_words({batch.time_us[i], record.shard, record.number}, bits, words);
    take_place(part.kind, at, words);
  });
}

}  // namespace

void update_states(const fold_program& program, const fold_batch& batch, std::uint32_t first) {
  for (std::size_t at = 0; at < program.parts.size();) {
    const std::size_t together =
        update_together(std::span(program.parts).subspan(at), batch, first);
    at += together;
    if (together != 0) continue;
    const state_part& part = program.parts[at++];
    switch (part.kind) {
      case part_kind::records:
        for (std::uint32_t i = first; i < batch.count; ++i)
          ++batch.state[i][part.word];
        break;
      case part_kind::sum_double:
        update_simple<part_kind::sum_double>(part, batch, first);
        break;
      case part_kind::squares:
        update_simple<part_kind::squares>(part, batch, first);
        break;
      case part_kind::first:
      case part_kind::last:
        update_places(part, batch, first);
        break;
      default:  // a sketch
        break;
    }
  }
}

namespace {

/// What one value asks of a sketch. `count` 0: nothing.
sketch_entry entry_of(const state_part& part, const field_value& value) {
  if (value.is_null()) return {};
  if (part.kind == part_kind::distinct) {
    const hll_update update = hll_update_of(distinct_hash(part.type, value));
    return {update.index, update.rank};
  }
  const std::uint64_t bits = bits_of(number_of(part.type, value.bits));
  if (is_nan_bits(bits)) return {};
  return {dds_bin(bits), 1};
}

constexpr std::uint32_t no_bin = UINT32_MAX;
/// So many records before it is counted, a bin's slot is asked for.
constexpr std::uint32_t slots_ahead = 16;

/// One sketch alone: nothing has to be sure of its memory before the others change. With many
/// groups their sketches are all over the memory, so that first all beginnings are under way, then
/// slots.
std::uint32_t count_quantiles(const state_part& part, fold_batch& batch,
                              sketch_arena* const* sketches, std::uint32_t first) {
  const field_value* const column = batch.chunk->column(part.column);
  const std::uint32_t count = batch.count;
  std::uint32_t bins[fold_chunk_records];
  for (std::uint32_t i = first; i < count; ++i) {
    const sketch_entry entry = entry_of(part, column[batch.index[i]]);
    bins[i] = entry.count == 0 ? no_bin : entry.key;
    sketch_arena::prefetch(batch.state[i][part.word]);
  }
  const auto fetch_slot = [&](std::uint32_t i) {
    if (i < count && bins[i] != no_bin)
      sketches[i]->prefetch_slot(batch.state[i][part.word], bins[i]);
  };
  for (std::uint32_t i = first; i < first + slots_ahead; ++i)
    fetch_slot(i);
  std::uint32_t kept = first;
  for (std::uint32_t i = first; i < count; ++i) {
    fetch_slot(i + slots_ahead);
    if (bins[i] != no_bin && !sketches[i]->count(batch.state[i][part.word], bins[i])) continue;
    batch.index[kept] = batch.index[i];
    batch.time_us[kept] = batch.time_us[i];
    batch.state[kept++] = batch.state[i];
  }
  batch.count = kept;
  return count - kept;
}

}  // namespace

std::uint32_t update_sketches(const fold_program& program, fold_batch& batch,
                              sketch_arena* const* sketches, std::uint32_t first) {
  if (program.sketches.empty()) return 0;
  if (program.sketches.size() == 1 &&
      program.parts[program.sketches[0]].kind == part_kind::quantiles) {
    return count_quantiles(program.parts[program.sketches[0]], batch, sketches, first);
  }
  std::vector<sketch_entry> entries(program.sketches.size());
  std::uint32_t kept = first;
  for (std::uint32_t i = first; i < batch.count; ++i) {
    bool has_room = true;
    for (std::size_t s = 0; s < entries.size(); ++s) {
      const state_part& part = program.parts[program.sketches[s]];
      entries[s] = entry_of(part, batch.chunk->column(part.column)[batch.index[i]]);
      has_room = has_room && (entries[s].count == 0 ||
                              sketches[i]->prepare(batch.state[i][part.word], entries[s].key,
                                                   part.kind == part_kind::distinct));
    }
    if (!has_room) continue;
    for (std::size_t s = 0; s < entries.size(); ++s) {
      const state_part& part = program.parts[program.sketches[s]];
      if (entries[s].count == 0) continue;
      const std::uint64_t sketch = batch.state[i][part.word];
      if (part.kind == part_kind::distinct) {
        sketches[i]->raise(sketch, entries[s].key, entries[s].count);
      } else {
        sketches[i]->add(sketch, entries[s].key, 1);
      }
    }
    batch.index[kept] = batch.index[i];
    batch.time_us[kept] = batch.time_us[i];
    batch.state[kept++] = batch.state[i];
  }
  const std::uint32_t left_out = batch.count - kept;
  batch.count = kept;
  return left_out;
}

bool merge_states(const fold_program& program, std::uint64_t* state, const std::uint64_t* from,
                  sketch_arena& sketches) {
  for (const state_part& part : program.parts) {
    if (!is_sketch(part.kind)) {
      merge_part<plain_words>(part, state, from);
    } else if (!sketches.merge(state[part.word], from[part.word],
                               part.kind == part_kind::distinct)) {
      return false;
    }
  }
  return true;
}

void save_state(const fold_program& program, const std::uint64_t* state, snapshot_entry& out) {
  out.state.assign(state, state + program.state_words());
  out.sketches.resize(program.sketches.size());
  for (std::size_t i = 0; i < program.sketches.size(); ++i) {
    const state_part& part = program.parts[program.sketches[i]];
    out.sketches[i] = sketch_arena::entries(state[part.word]);
  }
}

bool load_state(const fold_program& program, const snapshot_entry& entry, std::uint64_t* state,
                sketch_arena& sketches) {
  std::ranges::copy(entry.state, state);
  for (std::size_t i = 0; i < program.sketches.size(); ++i) {
    const state_part& part = program.parts[program.sketches[i]];
    for (const sketch_entry& one : entry.sketches[i]) {
      if (!sketches.put(state[part.word], one, part.kind == part_kind::distinct)) return false;
    }
  }
  return true;
}

result_value finish_state(const result_part& part, const std::uint64_t* state) {
  if (part.kind == aggregate_kind::approx_count_distinct) {
    return {distinct_estimate(state[part.word]), false};
  }
  if (part.kind == aggregate_kind::approx_percentile) {
    result_value value;
    value.is_null = !quantile_estimate(state[part.word], part.quantile, value.bits);
    return value;
  }
  return finish_part(part, state);
}

}  // namespace millrace
