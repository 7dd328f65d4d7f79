#pragma once
/// What is done to a view's tables between blocks: rows taken out, tables made larger or cleaned.
/// All pointers are the device's; nothing allocates, nothing waits.
#include <cstdint>

#include <cuda_runtime.h>

#include "gpu/device_tables.h"

namespace millrace {

/// Rows whose pane ends at or before a time.
struct row_choice {
  std::int64_t hop_us = 0;
  std::int64_t until_us = INT64_MIN;
};

/// The numbers of chosen rows to `rows`, in any order, and how many to *count, which is 0 before.
cudaError_t list_rows(const device_tables& tables, const row_choice& which, std::uint32_t* rows,
                      std::uint64_t* count, cudaStream_t stream);
/// Listed rows one after another to `out`, row_words each. Where keys are in the heap their words
/// go to `key_out`, one after another, row_key says where from its start, and *key_words, which is
/// 0 before, how many there are.
cudaError_t gather_rows(const device_tables& tables, const std::uint32_t* rows, std::uint32_t count,
                        std::uint64_t* out, std::uint64_t* key_out, std::uint64_t* key_words,
                        cudaStream_t stream);
/// The bins of chosen rows' sketches to `out`, and how many to *count, which is 0 before.
cudaError_t list_bins(const device_tables& tables, const row_choice& which, sketch_slot* out,
                      std::uint64_t* count, cudaStream_t stream);

/// Every row but the chosen ones, whose numbers become free, from the index of `from` into that of
/// `to`, which is all zeros; the tables share rows and counters.
cudaError_t move_index(const device_tables& from, const device_tables& to,
                       const row_choice& dropped, cudaStream_t stream);
/// The same of the sketches' bins.
cudaError_t move_bins(const device_tables& from, const device_tables& to, const row_choice& dropped,
                      cudaStream_t stream);
/// Fills pane_slots, which are zeros, with the first `count` of `panes`.
cudaError_t put_panes(const device_tables& tables, std::uint32_t count, cudaStream_t stream);
/// Rows 0 to count - 1, which have been written, into the index, which is all zeros.
cudaError_t put_rows(const device_tables& tables, std::uint32_t count, cudaStream_t stream);
/// Bins into the sketches' table, which is all zeros.
cudaError_t put_bins(const device_tables& tables, const sketch_slot* bins, std::uint64_t count,
                     cudaStream_t stream);
/// The keys of all rows of the index into the heap of `to`; counters' heap_words is 0 before.
cudaError_t move_keys(const device_tables& from, const device_tables& to, cudaStream_t stream);

}  // namespace millrace
