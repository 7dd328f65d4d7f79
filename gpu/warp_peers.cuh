#pragma once
/// Lanes of a warp that have records of one group: they put their values together, so that one of
/// them changes the group's state for all. In a tree, so that 32 lanes of one group take five steps
/// and lanes of 32 groups none. (E. Westphal, "Voting and shuffling to optimize atomic operations",
/// 2015.)
#include <cstdint>

#include <cuda_runtime.h>

namespace millrace {

class warp_peers {
 public:
  /// All lanes call it, with the row of their record; `is_record` false: with none.
  __device__ warp_peers(std::uint32_t row, bool is_record) {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t records = __ballot_sync(all, is_record);
    peers_ = __match_any_sync(all, row) & (is_record ? records : 0u);
    const std::uint32_t below = (1u << lane) - 1;
    leads_ = is_record && (peers_ & below) == 0;
    std::uint32_t rank = __popc(peers_ & below);
    std::uint32_t above = peers_ & ~below & ~(1u << lane);
    while (__any_sync(all, above != 0)) {
      const std::uint32_t next =
          above != 0 ? static_cast<std::uint32_t>(__ffs(static_cast<int>(above))) - 1 : 0;
      steps_ |= (next | (above != 0 ? has_next : 0u)) << (step_bits * count_);
      above &= ~__ballot_sync(all, (rank & 1) != 0);
      rank >>= 1;
      ++count_;
    }
  }

  __device__ std::uint32_t lanes() const { return peers_; }
  /// One lane a group, which gets what join() gives.
  __device__ bool leads() const { return leads_; }
  /// Some lanes share a group.
  __device__ bool any() const { return count_ != 0; }

  /// combine(lane) for each step, by all lanes: to take up what that lane has brought together so
  /// far. `takes` false: only bring.
  template <class Combine>
  __device__ void join(Combine combine) const {
    for (std::uint32_t step = 0; step < count_; ++step) {
      const std::uint32_t one = steps_ >> (step_bits * step);
      combine(static_cast<int>(one % 32), (one & has_next) != 0);
    }
  }

 private:
  static constexpr std::uint32_t all = 0xffffffffu;
  static constexpr std::uint32_t has_next = 32;
  static constexpr std::uint32_t step_bits = 6;

  std::uint32_t peers_ = 0;
  std::uint32_t steps_ = 0;
  std::uint32_t count_ = 0;
  bool leads_ = false;
};

}  // namespace millrace
