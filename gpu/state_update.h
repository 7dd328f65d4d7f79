#pragma once
/// Records into the states of their groups on the CPU: one part of the state after another over all
/// records of a batch.
#include "gpu/fold_batch.h"
#include "gpu/fold_program.h"
#include "gpu/fold_snapshot.h"
#include "gpu/sketch_arena.h"

namespace millrace {

/// Every record of the batch, from `first` on, into the sketches of its `state`; `sketches[i]` is
/// record i's arena. Records for which there is no memory leave the batch before they change
/// anything; returns how many.
std::uint32_t update_sketches(const fold_program& program, fold_batch& batch,
                              sketch_arena* const* sketches, std::uint32_t first = 0);

/// Every record of the batch, from `first` on, into the rest of its `state`.
void update_states(const fold_program& program, const fold_batch& batch, std::uint32_t first = 0);

/// All of `from` into `state`, whose sketches are of `sketches`. False: no memory for a sketch, and
/// the state is spoilt.
bool merge_states(const fold_program& program, std::uint64_t* state, const std::uint64_t* from,
                  sketch_arena& sketches);

/// A state and its sketches to a snapshot's entry, and back. False: no memory for a sketch.
void save_state(const fold_program& program, const std::uint64_t* state, snapshot_entry& out);
bool load_state(const fold_program& program, const snapshot_entry& entry, std::uint64_t* state,
                sketch_arena& sketches);

/// The result of any aggregate.
result_value finish_state(const result_part& part, const std::uint64_t* state);

}  // namespace millrace
