// Records into the states of their groups. Values of one group come together three times before
// they reach the group's row: over the lanes of a warp, over the warps of a block in shared memory,
// and then with one atomic operation a word; so one hot group costs no more than many cold ones.
#include "gpu/cuda_launch.cuh"
#include "gpu/fold_kernels.cuh"
#include "gpu/group_lookup.cuh"
#include "gpu/warp_peers.cuh"

namespace millrace {
namespace {

struct fold_policy {
  static constexpr std::uint32_t threads = 256;
  static constexpr std::uint32_t rounds = 8;
  static constexpr std::uint32_t tile = threads * rounds;
  static constexpr std::uint32_t near_words = 4096;  ///< of states in shared memory
  static constexpr std::uint32_t near_rows_max = 256;
  static constexpr std::uint32_t near_rows_min = 8;  ///< fewer are not worth it
  static constexpr std::uint32_t near_probes = 4;
};

/// States of rows that this block has met, until it ends.
struct near_states {
  std::uint64_t words[fold_policy::near_words];
  std::uint32_t rows[fold_policy::near_rows_max];
};
static_assert(sizeof(near_states) <= 48 * 1024, "shared memory of every device");

constexpr std::uint32_t all_lanes = 0xffffffffu;

__device__ inline std::uint32_t near_rows(const device_program& program) {
  std::uint32_t rows = fold_policy::near_rows_max;
  while (rows * program.state_words > fold_policy::near_words)
    rows /= 2;
  return rows < fold_policy::near_rows_min ? 0 : rows;
}

/// The block's state of the row, or the row's own where the block has no room for it.
__device__ inline std::uint64_t* state_for(near_states& near, std::uint32_t near_count,
                                           const group_work& work, std::uint32_t row) {
  for (std::uint32_t probe = 0; probe < fold_policy::near_probes && near_count != 0; ++probe) {
    const std::uint32_t at = ((row * 0x9e3779b1u >> 16) + probe) & (near_count - 1);
    const std::uint32_t old = atomicCAS(&near.rows[at], no_row, row);
    if (old == no_row || old == row) return near.words + at * work.program.state_words;
  }
  return state_at(work.tables, row);
}

/// A sum of doubles with what its roundings lost.
struct double_sum {
  double sum;
  double lost;
};

__device__ inline double_sum sum_over(const warp_peers& peers, double_sum own) {
  peers.join([&](int lane, bool takes) {
    const double sum = __shfl_sync(all_lanes, own.sum, lane);
    const double lost = __shfl_sync(all_lanes, own.lost, lane);
    if (!takes) return;
    own.lost = own.lost + lost + rounding_loss(own.sum, sum);
    own.sum = own.sum + sum;
  });
  return own;
}

/// One value of each lane that has one, into the states of their groups. All lanes call these.
__device__ inline void fold_count(const warp_peers& peers, std::uint32_t values,
                                  std::uint64_t* at) {
  if (at != nullptr)
    device_words::add(at, static_cast<std::uint64_t>(__popc(peers.lanes() & values)));
}

__device__ inline void fold_int_sum(const warp_peers& peers, std::uint64_t bits,
                                    std::uint64_t* at) {
  std::uint64_t low = bits;
  std::uint64_t high = (bits & sign_bit) != 0 ? ~std::uint64_t{0} : 0;
  peers.join([&](int lane, bool takes) {
    const std::uint64_t more = __shfl_sync(all_lanes, low, lane);
    const std::uint64_t more_high = __shfl_sync(all_lanes, high, lane);
    if (!takes) return;
    low += more;
    high += more_high + (low < more ? 1u : 0u);
  });
  if (at == nullptr) return;
  const std::uint64_t old = device_words::add(at, low);
  high += old + low < old ? 1u : 0u;
  if (high != 0) device_words::add(at + 1, high);
}

__device__ inline void fold_double_sum(const warp_peers& peers, double_sum own, std::uint64_t* at) {
  const double_sum all = sum_over(peers, own);
  if (at != nullptr) add_double<device_words>(at, all.sum, all.lost);
}

__device__ inline void fold_extreme(const warp_peers& peers, bool is_least, std::uint64_t own,
                                    std::uint64_t* at) {
  peers.join([&](int lane, bool takes) {
    const std::uint64_t other = __shfl_sync(all_lanes, own, lane);
    if (takes && (other < own) == is_least) own = other;
  });
  if (at == nullptr) return;
  if (is_least) {
    device_words::least(at, own);
  } else {
    device_words::greatest(at, own);
  }
}

/// One record a lane.
__device__ inline void fold_warp(const group_work& work, near_states& near,
                                 std::uint32_t near_count, std::uint32_t place) {
  const std::uint32_t row = place < work.block.records.count ? work.row[place] : no_row;
  const bool is_in = row != no_row;
  if (!__any_sync(all_lanes, is_in)) return;
  const warp_peers peers(row, is_in);
  std::uint64_t* const state = peers.leads() ? state_for(near, near_count, work, row) : nullptr;
  for (std::uint32_t p = 0; p < work.program.part_count; ++p) {
    const state_part part = work.program.parts[p];
    if (is_sketch(part.kind) || is_place(part.kind)) continue;
    field_value value;
    if (is_in && part.kind != part_kind::records) value = work.columns.at(part.column, place);
    const bool is_value = is_in && (part.kind == part_kind::records || !value.is_null());
    const std::uint32_t values = __ballot_sync(all_lanes, is_value);
    std::uint64_t* const at =
        (peers.lanes() & values) != 0 && peers.leads() ? state + part.word : nullptr;
    const double number = is_value ? number_of(part.type, value.bits) : 0;
    switch (part.kind) {
      case part_kind::records:
      case part_kind::values:
        fold_count(peers, values, at);
        break;
      case part_kind::sum_int:
        fold_int_sum(peers, is_value ? value.bits : 0, at);
        break;
      case part_kind::sum_double:
        fold_double_sum(peers, {number, 0}, at);
        break;
      case part_kind::squares: {
        const exact_double square = product_of(number, number);
        fold_double_sum(peers, {square.rounded, square.lost}, at);
        break;
      }
      case part_kind::least:
      case part_kind::greatest: {
        const std::uint64_t ordered =
            is_value ? to_ordered(part.type, value.bits) : empty_word(part.kind);
        fold_extreme(peers, part.kind == part_kind::least, ordered, at);
        break;
      }
      default:
        break;
    }
  }
}

__device__ inline void flush_near(const group_work& work, near_states& near,
                                  std::uint32_t near_count) {
  for (std::uint32_t i = threadIdx.x; i < near_count; i += fold_policy::threads) {
    if (near.rows[i] == no_row) continue;
    std::uint64_t* const to = state_at(work.tables, near.rows[i]);
    const std::uint64_t* const from = near.words + i * work.program.state_words;
    for (std::uint32_t p = 0; p < work.program.part_count; ++p) {
      const state_part& part = work.program.parts[p];
      if (!is_place(part.kind)) merge_part<device_words>(part, to, from);
    }
  }
}

__global__ void __launch_bounds__(fold_policy::threads)
    fold_kernel(const __grid_constant__ group_work work) {
  __shared__ near_states near;
  const std::uint32_t near_count = near_rows(work.program);
  for (std::uint32_t i = threadIdx.x; i < near_count; i += fold_policy::threads)
    near.rows[i] = no_row;
  const std::uint32_t words = near_count * work.program.state_words;
  for (std::uint32_t i = threadIdx.x; i < words; i += fold_policy::threads)
    near.words[i] = work.program.empty[i % work.program.state_words];
  __syncthreads();
  const std::uint32_t first = blockIdx.x * fold_policy::tile + threadIdx.x;
  for (std::uint32_t round = 0; round < fold_policy::rounds; ++round)
    fold_warp(work, near, near_count, first + round * fold_policy::threads);
  __syncthreads();
  flush_near(work, near, near_count);
}

}  // namespace

cudaError_t fold_groups(const group_work& work, cudaStream_t stream) {
  return launch(fold_kernel, blocks_for(work.block.records.count, fold_policy::tile),
                fold_policy::threads, stream, work);
}

}  // namespace millrace
