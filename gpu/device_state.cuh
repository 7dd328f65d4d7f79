#pragma once
/// One view's state on one device: the memory of its device_tables, made larger between blocks so
/// that a block never finds it too small unless the plan's limits say so, and emptied pane by pane.
#include <cstdint>
#include <span>
#include <vector>

#include "base/limits.h"
#include "gpu/cuda_memory.cuh"
#include "gpu/device_tables.h"
#include "gpu/fetched_groups.h"
#include "gpu/fold_program.h"
#include "gpu/table_kernels.cuh"

namespace millrace {

// The smallest tables.
inline constexpr std::uint64_t table_rows_min = 64;
inline constexpr std::uint64_t heap_words_min = 1024;
inline constexpr std::uint64_t bins_min = 256;
/// Words of the longest key.
inline constexpr std::uint64_t key_words_max = limits::group_key_bytes_max / 8 + 1;

inline status zero(const device_memory& memory, cudaStream_t stream) {
  MILLRACE_CUDA_TRY(cudaMemsetAsync(memory.data(), 0, memory.bytes(), stream));
  return {};
}

/// What moves a device's small things up and down; one a device, used by one at a time.
struct device_stage {
  int device = 0;
  cuda_stream stream;
  pinned_memory host;     ///< chunk_bytes
  device_memory rows;     ///< chunk_bytes
  device_memory keys;     ///< chunk_bytes
  device_memory numbers;  ///< a few counts
  static constexpr std::size_t chunk_bytes = std::size_t{4} << 20;

  static result<device_stage> create(int device);
};

class device_state {
 public:
  /// On the current device.
  static result<device_state> create(const fold_program& program, const device_stage& stage);

  /// How much a block may bring.
  struct arrival {
    std::uint32_t records = 0;
    std::uint64_t bytes = 0;
  };
  /// Makes room for it, as far as the plan's bytes allow. May wait for the device.
  status make_room(const arrival& most, const device_stage& stage);
  /// For kernels: `groups_max` and `panes_max` of this view may be here, other ones elsewhere.
  device_tables tables(std::uint64_t groups_max, std::uint32_t panes_max,
                       std::int64_t closed_until_us) const;
  table_counters* counters() const { return counters_.as<table_counters>(); }

  /// What a block left in the counters, and the panes that it added.
  void note(const table_counters& now) { now_ = now; }
  const table_counters& now() const { return now_; }
  std::vector<std::int64_t>& panes() { return panes_; }
  const std::vector<std::int64_t>& panes() const { return panes_; }
  const std::int64_t* device_panes() const { return pane_list_.as<const std::int64_t>(); }
  std::uint64_t bytes() const;

  /// Copies of all groups in panes that end at or before `until_us`; waits for them.
  status fetch(std::int64_t until_us, const device_stage& stage, fetched_groups& out) const;
  /// Groups into an empty state, whose rows are numbered from 0. `exhausted`: the plan's bytes do
  /// not allow it.
  status load(const fetched_groups& groups, const device_stage& stage);
  /// Those groups and panes are no more.
  status drop(std::int64_t until_us, const device_stage& stage);

 private:
  struct capacity {
    std::uint64_t rows = 0;
    std::uint64_t heap_words = 0;
    std::uint64_t bins = 0;
  };
  capacity wanted(const arrival& most) const;
  std::uint64_t bytes_of(const capacity& of) const;
  status grow_rows(std::uint64_t rows, const device_stage& stage);
  status grow_heap(std::uint64_t words, const device_stage& stage);
  status grow_bins(std::uint64_t bins, const device_stage& stage);
  status fetch_rows(const row_choice& which, const device_stage& stage, fetched_groups& out) const;
  status fetch_bins(const row_choice& which, const device_stage& stage, fetched_groups& out) const;
  status drop_panes(std::int64_t until_us, const device_stage& stage);
  status send_panes(const device_stage& stage);
  status read_counters(const device_stage& stage);
  device_tables all_tables() const;

  const fold_program* program_ = nullptr;
  std::uint32_t row_words_ = 0;
  std::uint32_t key_words_ = 0;
  std::uint32_t pane_slots_count_ = 0;
  bool keys_in_heap_ = false;
  bool bins_fit_ = true;
  capacity has_;
  table_counters now_{};
  std::vector<std::int64_t> panes_;

  device_memory counters_;
  device_memory rows_;
  device_memory free_list_;
  device_memory row_list_;
  device_memory index_, index_spare_;
  device_memory heap_, heap_spare_;
  device_memory bins_, bins_spare_;
  device_memory pane_slots_;
  device_memory pane_list_;
};

}  // namespace millrace
