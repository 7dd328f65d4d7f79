#include "gpu/state_update.h"

#include <algorithm>

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

void update_places(const state_part& part, const fold_batch& batch, std::uint32_t first) {
  for_values(part, batch, first, [&](std::uint64_t* at, std::uint64_t bits, std::uint32_t i) {
    const record_input& record = batch.chunk->records[batch.index[i]];
    std::uint64_t words[4];
    place_words({batch.time_us[i], record.shard, record.number}, bits, words);
    take_place(part.kind, at, words);
  });
}

}  // namespace

void update_states(const fold_program& program, const fold_batch& batch, std::uint32_t first) {
  for (const state_part& part : program.parts) {
    switch (part.kind) {
      case part_kind::records:
        for (std::uint32_t i = first; i < batch.count; ++i)
          ++batch.state[i][part.word];
        break;
      case part_kind::values:
        update_simple<part_kind::values>(part, batch, first);
        break;
      case part_kind::sum_int:
        update_simple<part_kind::sum_int>(part, batch, first);
        break;
      case part_kind::sum_double:
        update_simple<part_kind::sum_double>(part, batch, first);
        break;
      case part_kind::squares:
        update_simple<part_kind::squares>(part, batch, first);
        break;
      case part_kind::least:
        update_simple<part_kind::least>(part, batch, first);
        break;
      case part_kind::greatest:
        update_simple<part_kind::greatest>(part, batch, first);
        break;
      case part_kind::first:
      case part_kind::last:
        update_places(part, batch, first);
        break;
      case part_kind::distinct:
      case part_kind::quantiles:
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

/// One sketch alone: nothing has to be sure of its memory before the others change.
std::uint32_t count_quantiles(const state_part& part, fold_batch& batch,
                              sketch_arena* const* sketches, std::uint32_t first) {
  const field_value* const column = batch.chunk->column(part.column);
  std::uint32_t kept = first;
  for (std::uint32_t i = first; i < batch.count; ++i) {
    const sketch_entry entry = entry_of(part, column[batch.index[i]]);
    if (entry.count != 0 && !sketches[i]->count(batch.state[i][part.word], entry.key)) continue;
    batch.index[kept] = batch.index[i];
    batch.time_us[kept] = batch.time_us[i];
    batch.state[kept++] = batch.state[i];
  }
  const std::uint32_t left_out = batch.count - kept;
  batch.count = kept;
  return left_out;
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
        sketch_arena::raise(sketch, entries[s].key, entries[s].count);
      } else {
        sketch_arena::add(sketch, entries[s].key, 1);
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
