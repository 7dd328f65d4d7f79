// A thread a slot of a table, or a warp a row.
#include "gpu/cuda_launch.cuh"
#include "gpu/device_words.cuh"
#include "gpu/group_lookup.cuh"
#include "gpu/table_kernels.cuh"

namespace millrace {
namespace {

struct slot_policy {
  static constexpr std::uint32_t threads = 256;
};

__device__ inline bool is_chosen(const device_tables& tables, std::uint32_t row,
                                 const row_choice& which) {
  const auto pane = static_cast<std::int64_t>(row_at(tables, row)[row_pane]);
  return pane + which.hop_us <= which.until_us;
}

/// The row in this thread's slot of the index, or no_row.
__device__ inline std::uint32_t own_row(const device_tables& tables) {
  const std::uint64_t at = std::uint64_t{blockIdx.x} * slot_policy::threads + threadIdx.x;
  if (at > tables.index_mask) return no_row;
  const std::uint64_t slot = tables.index[at];
  return has_row(slot) ? row_of_slot(slot) : no_row;
}

/// The next of *count places, for each lane that wants one: one atomic operation a warp.
__device__ inline std::uint64_t take_place_in(std::uint64_t* count, bool wants) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t lanes = __ballot_sync(0xffffffffu, wants);
  std::uint64_t first = 0;
  if (lane == 0 && lanes != 0) {
    first = device_words::add(count, static_cast<std::uint64_t>(__popc(lanes)));
  }
  return __shfl_sync(0xffffffffu, first, 0) +
         static_cast<std::uint64_t>(__popc(lanes & ((1u << lane) - 1)));
}

/// Into an index that has no such row.
__device__ inline void put_row(const device_tables& tables, std::uint32_t row) {
  const std::uint64_t hash = row_at(tables, row)[row_hash];
  for (std::uint64_t at = hash & tables.index_mask;; at = (at + 1) & tables.index_mask) {
    if (atomicCAS(as_atomic(&tables.index[at]), atomic_word{slot_free},
                  static_cast<atomic_word>(make_slot(hash, row))) == slot_free) {
      return;
    }
  }
}

/// Into a table that has no such bin.
__device__ inline void put_bin(const device_tables& tables, const sketch_slot& bin) {
  for (std::uint64_t at = slot_hash(tables, bin.key) & tables.sketch_mask;;
       at = (at + 1) & tables.sketch_mask) {
    if (atomicCAS(as_atomic(&tables.sketches[at].key), atomic_word{0},
                  static_cast<atomic_word>(bin.key)) == 0) {
      tables.sketches[at].value = bin.value;
      return;
    }
  }
}

__global__ void __launch_bounds__(slot_policy::threads)
    list_rows_kernel(device_tables tables, row_choice which, std::uint32_t* rows,
                     std::uint64_t* count) {
  const std::uint32_t row = own_row(tables);
  const bool wants = row != no_row && is_chosen(tables, row, which);
  const std::uint64_t at = take_place_in(count, wants);
  if (wants) rows[at] = row;
}

/// A warp a row.
__global__ void __launch_bounds__(slot_policy::threads)
    gather_kernel(device_tables tables, const std::uint32_t* rows, std::uint32_t count,
                  std::uint64_t* out, std::uint64_t* key_out, std::uint64_t* key_words) {
  const std::uint32_t i = blockIdx.x * (slot_policy::threads / 32) + threadIdx.x / 32;
  if (i >= count) return;
  const std::uint32_t lane = threadIdx.x % 32;
  std::uint64_t* const row = row_at(tables, rows[i]);
  std::uint64_t* const to = out + std::size_t{i} * tables.row_words;
  std::uint64_t key_to = 0;
  if (tables.keys_in_heap) {
    const std::uint64_t words = (*key_bytes_at(row) + 7) / 8;
    if (lane == 0) key_to = device_words::add(key_words, words);
    key_to = __shfl_sync(0xffffffffu, key_to, 0);
    const std::uint64_t* const key = tables.heap + row[row_key];
    for (std::uint64_t word = lane; word < words; word += 32)
      key_out[key_to + word] = key[word];
  }
  for (std::uint32_t word = lane; word < tables.row_words; word += 32)
    to[word] = tables.keys_in_heap && word == row_key ? key_to : row[word];
}

__global__ void __launch_bounds__(slot_policy::threads)
    list_bins_kernel(device_tables tables, row_choice which, sketch_slot* out,
                     std::uint64_t* count) {
  const std::uint64_t at = std::uint64_t{blockIdx.x} * slot_policy::threads + threadIdx.x;
  sketch_slot slot{};
  if (at <= tables.sketch_mask) slot = tables.sketches[at];
  const bool wants = slot.key != 0 && is_chosen(tables, row_of_sketch(slot.key), which);
  const std::uint64_t to = take_place_in(count, wants);
  if (wants) out[to] = slot;
}

__global__ void __launch_bounds__(slot_policy::threads)
    move_index_kernel(device_tables from, device_tables to, row_choice dropped) {
  const std::uint32_t row = own_row(from);
  if (row == no_row) return;
  if (is_chosen(from, row, dropped)) {
    const std::int32_t at = atomicAdd(&to.counters->free_rows, 1);
    to.free_list[at] = row;
    device_words::add(&to.counters->groups, ~std::uint64_t{0});
    return;
  }
  put_row(to, row);
}

__global__ void __launch_bounds__(slot_policy::threads)
    put_rows_kernel(device_tables tables, std::uint32_t count) {
  const std::uint32_t row = blockIdx.x * slot_policy::threads + threadIdx.x;
  if (row < count) put_row(tables, row);
}

__global__ void __launch_bounds__(slot_policy::threads)
    put_bins_kernel(device_tables tables, const sketch_slot* bins, std::uint64_t count) {
  const std::uint64_t i = std::uint64_t{blockIdx.x} * slot_policy::threads + threadIdx.x;
  if (i < count) put_bin(tables, bins[i]);
}

__global__ void __launch_bounds__(slot_policy::threads)
    move_bins_kernel(device_tables from, device_tables to, row_choice dropped) {
  const std::uint64_t i = std::uint64_t{blockIdx.x} * slot_policy::threads + threadIdx.x;
  if (i > from.sketch_mask) return;
  const sketch_slot slot = from.sketches[i];
  if (slot.key == 0) return;
  if (is_chosen(from, row_of_sketch(slot.key), dropped)) {
    device_words::add(&to.counters->sketch_entries, ~std::uint64_t{0});
    return;
  }
  put_bin(to, slot);
}

__global__ void __launch_bounds__(slot_policy::threads)
    move_keys_kernel(device_tables from, device_tables to) {
  const std::uint32_t number = own_row(from);
  if (number == no_row) return;
  std::uint64_t* const row = row_at(from, number);
  const std::uint64_t words = (*key_bytes_at(row) + 7) / 8;
  const std::uint64_t at = device_words::add(&to.counters->heap_words, words);
  for (std::uint64_t word = 0; word < words; ++word)
    to.heap[at + word] = from.heap[row[row_key] + word];
  row[row_key] = at;
}

__global__ void __launch_bounds__(slot_policy::threads)
    put_panes_kernel(device_tables tables, std::uint32_t count) {
  const std::uint32_t i = blockIdx.x * slot_policy::threads + threadIdx.x;
  if (i >= count) return;
  const std::uint64_t key = pane_key(tables.panes[i]);
  for (std::uint32_t at = first_pane_slot(tables, key);; at = (at + 1) & tables.pane_mask) {
    if (atomicCAS(as_atomic(&tables.pane_slots[at]), atomic_word{0},
                  static_cast<atomic_word>(key)) == 0) {
      return;
    }
  }
}

std::uint32_t index_blocks(const device_tables& tables) {
  return blocks_for(tables.index_mask + 1, slot_policy::threads);
}
std::uint32_t sketch_blocks(const device_tables& tables) {
  return blocks_for(tables.sketch_mask + 1, slot_policy::threads);
}

}  // namespace

cudaError_t list_rows(const device_tables& tables, const row_choice& which, std::uint32_t* rows,
                      std::uint64_t* count, cudaStream_t stream) {
  return launch(list_rows_kernel, index_blocks(tables), slot_policy::threads, stream, tables, which,
                rows, count);
}

cudaError_t gather_rows(const device_tables& tables, const std::uint32_t* rows, std::uint32_t count,
                        std::uint64_t* out, std::uint64_t* key_out, std::uint64_t* key_words,
                        cudaStream_t stream) {
  return launch(gather_kernel, blocks_for(count, slot_policy::threads / 32), slot_policy::threads,
                stream, tables, rows, count, out, key_out, key_words);
}

cudaError_t list_bins(const device_tables& tables, const row_choice& which, sketch_slot* out,
                      std::uint64_t* count, cudaStream_t stream) {
  return launch(list_bins_kernel, sketch_blocks(tables), slot_policy::threads, stream, tables,
                which, out, count);
}

cudaError_t move_index(const device_tables& from, const device_tables& to,
                       const row_choice& dropped, cudaStream_t stream) {
  return launch(move_index_kernel, index_blocks(from), slot_policy::threads, stream, from, to,
                dropped);
}

cudaError_t move_bins(const device_tables& from, const device_tables& to, const row_choice& dropped,
                      cudaStream_t stream) {
  return launch(move_bins_kernel, sketch_blocks(from), slot_policy::threads, stream, from, to,
                dropped);
}

cudaError_t put_rows(const device_tables& tables, std::uint32_t count, cudaStream_t stream) {
  return launch(put_rows_kernel, blocks_for(count, slot_policy::threads), slot_policy::threads,
                stream, tables, count);
}

cudaError_t put_bins(const device_tables& tables, const sketch_slot* bins, std::uint64_t count,
                     cudaStream_t stream) {
  return launch(put_bins_kernel, blocks_for(count, slot_policy::threads), slot_policy::threads,
                stream, tables, bins, count);
}

cudaError_t put_panes(const device_tables& tables, std::uint32_t count, cudaStream_t stream) {
  return launch(put_panes_kernel, blocks_for(count, slot_policy::threads), slot_policy::threads,
                stream, tables, count);
}

cudaError_t move_keys(const device_tables& from, const device_tables& to, cudaStream_t stream) {
  return launch(move_keys_kernel, index_blocks(from), slot_policy::threads, stream, from, to);
}

}  // namespace millrace
