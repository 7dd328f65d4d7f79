#pragma once
/// Records into the states of their groups on the CPU: one part of the state after another over all
/// records of a batch.
#include "gpu/fold_batch.h"
#include "gpu/fold_program.h"

namespace millrace {

/// Every record of the batch, from `first` on, into its `state`.
void update_states(const fold_program& program, const fold_batch& batch, std::uint32_t first = 0);

/// All of `from` into `state`.
void merge_states(const fold_program& program, std::uint64_t* state, const std::uint64_t* from);

}  // namespace millrace
