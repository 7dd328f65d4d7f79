#include "gpu/state_update.h"

namespace millrace {
namespace {

/// update(words of the part, value's bits, record of the batch) for each value that is not null.
/// Always inline: GCC 12 takes some of these for functions without effect, and drops their calls.
template <class Update>
__attribute__((always_inline)) inline void for_values(const state_part& part,
                                                      const fold_batch& batch, std::uint32_t first,
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

void merge_states(const fold_program& program, std::uint64_t* state, const std::uint64_t* from) {
  for (const state_part& part : program.parts)
    merge_part<plain_words>(part, state, from);
}

}  // namespace millrace
