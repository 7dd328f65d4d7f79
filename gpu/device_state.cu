#include <algorithm>
#include <bit>

#include "gpu/device_state.cuh"
#include "gpu/group_key.h"

namespace millrace {
namespace {

/// Bins in use of a table, at most: probes stay short.
constexpr std::uint64_t usable_bins(std::uint64_t bins) {
  return bins / 4 * 3;
}

}  // namespace

result<device_stage> device_stage::create(int device) {
  device_stage made;
  made.device = device;
  MILLRACE_ASSIGN(made.stream, make_stream(device));
  MILLRACE_ASSIGN(made.host, allocate_pinned(chunk_bytes, device, "results"));
  MILLRACE_ASSIGN(made.rows, allocate_device(chunk_bytes, device, "results"));
  MILLRACE_ASSIGN(made.keys, allocate_device(chunk_bytes, device, "results' keys"));
  MILLRACE_ASSIGN(made.numbers, allocate_device(4 * sizeof(std::uint64_t), device, "counts"));
  return std::move(made);
}

result<device_state> device_state::create(const fold_program& program, const device_stage& stage) {
  device_state made;
  made.program_ = &program;
  made.keys_in_heap_ = !program.key_bytes.has_value();
  made.key_words_ = made.keys_in_heap_ ? 1 : (*program.key_bytes + 7) / 8;
  made.row_words_ = row_key + made.key_words_ + program.state_words();
  made.pane_slots_count_ = std::bit_ceil(2 * program.plan.windows_max);
  const int device = stage.device;
  MILLRACE_ASSIGN(made.counters_, allocate_device(sizeof(table_counters), device, "counters"));
  MILLRACE_ASSIGN(made.pane_slots_,
                  allocate_device(sizeof(std::uint64_t) * made.pane_slots_count_, device, "panes"));
  MILLRACE_ASSIGN(made.pane_list_, allocate_device(sizeof(std::int64_t) * program.plan.windows_max,
                                                   device, "panes"));
  MILLRACE_TRY(zero(made.counters_, stage.stream.get()));
  MILLRACE_TRY(zero(made.pane_slots_, stage.stream.get()));
  return std::move(made);
}

device_tables device_state::all_tables() const {
  return {.index = index_.as<std::uint64_t>(),
          .index_mask = 2 * has_.rows - 1,
          .rows = rows_.as<std::uint64_t>(),
          .row_words = row_words_,
          .key_words = key_words_,
          .keys_in_heap = keys_in_heap_,
          .sketches_fit = bins_fit_,
          .free_list = free_list_.as<std::uint32_t>(),
          .groups_max = has_.rows,
          .heap = heap_.as<std::uint64_t>(),
          .heap_words_max = has_.heap_words,
          .sketches = bins_.as<sketch_slot>(),
          .sketch_mask = has_.bins - 1,
          .sketch_entries_max = usable_bins(has_.bins),
          .pane_slots = pane_slots_.as<std::uint64_t>(),
          .pane_mask = pane_slots_count_ - 1,
          .panes_max = program_->plan.windows_max,
          .panes = pane_list_.as<std::int64_t>(),
          .closed_until_us = INT64_MIN,
          .counters = counters(),
          .secret = program_->secret};
}

device_tables device_state::tables(std::uint64_t groups_max, std::uint32_t panes_max,
                                   std::int64_t closed_until_us) const {
  device_tables made = all_tables();
  made.groups_max = std::min(groups_max, has_.rows);
  made.panes_max = std::min(panes_max, made.panes_max);
  made.closed_until_us = closed_until_us;
  return made;
}

// --- room ----------------------------------------------------------------------------------------

std::uint64_t device_state::bytes_of(const capacity& of) const {
  // Index and its spare, two slots a row; free and listed row numbers; heap and bins with spares.
  const std::uint64_t row = sizeof(std::uint64_t) * (row_words_ + 4) + 2 * sizeof(std::uint32_t);
  return of.rows * row + of.heap_words * 2 * sizeof(std::uint64_t) +
         of.bins * 2 * sizeof(sketch_slot);
}

std::uint64_t device_state::bytes() const {
  return bytes_of(has_);
}

device_state::capacity device_state::wanted(const arrival& most) const {
  const view_plan& plan = program_->plan;
  capacity want = has_;
  const std::uint64_t rows = std::min(plan.groups_max, now_.groups + most.records);
  want.rows = std::max({has_.rows, table_rows_min, std::bit_ceil(rows)});
  if (keys_in_heap_) {
    // A text's key is at most twice as long as the text in the record, and two bytes.
    const auto texts = static_cast<std::uint64_t>(
        std::ranges::count(program_->key, field_type::string, &key_field::type));
    const std::uint64_t key_bytes =
        2 * texts * most.bytes + most.records * (9 * program_->key.size() + 8);
    const std::uint64_t words = std::min(key_bytes / 8, most.records * key_words_max);
    want.heap_words =
        std::max({has_.heap_words, heap_words_min, std::bit_ceil(now_.heap_words + words)});
  }
  if (!program_->sketches.empty()) {
    const std::uint64_t bins = now_.sketch_entries + most.records * program_->sketches.size();
    want.bins = std::max({has_.bins, bins_min, std::bit_ceil(bins + bins / 3 + 1)});
  }
  // Over the plan's bytes, the largest that would grow grows less.
  while (bytes_of(want) > plan.state_bytes_max) {
    const std::uint64_t row_growth =
        want.rows > std::max(has_.rows, table_rows_min) ? bytes_of({.rows = want.rows}) : 0;
    const std::uint64_t heap_growth = want.heap_words > std::max(has_.heap_words, heap_words_min)
                                          ? bytes_of({.heap_words = want.heap_words})
                                          : 0;
    const std::uint64_t bin_growth =
        want.bins > std::max(has_.bins, bins_min) ? bytes_of({.bins = want.bins}) : 0;
    const std::uint64_t largest = std::max({row_growth, heap_growth, bin_growth});
    if (largest == 0) break;
    if (largest == bin_growth) {
      want.bins /= 2;
    } else if (largest == row_growth) {
      want.rows /= 2;
    } else {
      want.heap_words /= 2;
    }
  }
  return want;
}

status device_state::make_room(const arrival& most, const device_stage& stage) {
  const capacity want = wanted(most);
  if (want.rows > has_.rows) MILLRACE_TRY(grow_rows(want.rows, stage));
  if (want.heap_words > has_.heap_words) MILLRACE_TRY(grow_heap(want.heap_words, stage));
  if (want.bins > has_.bins) MILLRACE_TRY(grow_bins(want.bins, stage));
  bins_fit_ =
      now_.sketch_entries + most.records * program_->sketches.size() <= usable_bins(has_.bins);
  return {};
}

status device_state::grow_rows(std::uint64_t rows, const device_stage& stage) {
  const cudaStream_t stream = stage.stream.get();
  const std::size_t row_bytes = sizeof(std::uint64_t) * row_words_;
  const std::size_t index_bytes = sizeof(std::uint64_t) * 2 * rows;
  MILLRACE_ASSIGN(device_memory larger, allocate_device(rows * row_bytes, stage.device, "groups"));
  MILLRACE_ASSIGN(device_memory free_list,
                  allocate_device(rows * sizeof(std::uint32_t), stage.device, "free groups"));
  MILLRACE_ASSIGN(device_memory row_list,
                  allocate_device(rows * sizeof(std::uint32_t), stage.device, "listed groups"));
  MILLRACE_ASSIGN(device_memory index, allocate_device(index_bytes, stage.device, "an index"));
  MILLRACE_ASSIGN(device_memory spare, allocate_device(index_bytes, stage.device, "an index"));
  MILLRACE_TRY(zero(index, stream));
  if (has_.rows != 0) {
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(larger.data(), rows_.data(), now_.fresh_rows * row_bytes,
                                      cudaMemcpyDeviceToDevice, stream));
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(free_list.data(), free_list_.data(), free_list_.bytes(),
                                      cudaMemcpyDeviceToDevice, stream));
    const device_tables from = all_tables();
    device_tables to = from;
    to.index = index.as<std::uint64_t>();
    to.index_mask = 2 * rows - 1;
    MILLRACE_CUDA_TRY(move_index(from, to, {}, stream));
  }
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream));
  rows_ = std::move(larger);
  free_list_ = std::move(free_list);
  row_list_ = std::move(row_list);
  index_ = std::move(index);
  index_spare_ = std::move(spare);
  has_.rows = rows;
  return {};
}

status device_state::grow_heap(std::uint64_t words, const device_stage& stage) {
  const std::size_t bytes = sizeof(std::uint64_t) * words;
  MILLRACE_ASSIGN(device_memory larger, allocate_device(bytes, stage.device, "group keys"));
  MILLRACE_ASSIGN(device_memory spare, allocate_device(bytes, stage.device, "group keys"));
  if (has_.heap_words != 0) {
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(larger.data(), heap_.data(),
                                      sizeof(std::uint64_t) * now_.heap_words,
                                      cudaMemcpyDeviceToDevice, stage.stream.get()));
    MILLRACE_CUDA_TRY(cudaStreamSynchronize(stage.stream.get()));
  }
  heap_ = std::move(larger);
  heap_spare_ = std::move(spare);
  has_.heap_words = words;
  return {};
}

status device_state::grow_bins(std::uint64_t bins, const device_stage& stage) {
  const cudaStream_t stream = stage.stream.get();
  const std::size_t bytes = sizeof(sketch_slot) * bins;
  MILLRACE_ASSIGN(device_memory larger, allocate_device(bytes, stage.device, "sketches"));
  MILLRACE_ASSIGN(device_memory spare, allocate_device(bytes, stage.device, "sketches"));
  MILLRACE_TRY(zero(larger, stream));
  if (has_.bins != 0) {
    const device_tables from = all_tables();
    device_tables to = from;
    to.sketches = larger.as<sketch_slot>();
    to.sketch_mask = bins - 1;
    MILLRACE_CUDA_TRY(move_bins(from, to, {}, stream));
  }
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream));
  bins_ = std::move(larger);
  bins_spare_ = std::move(spare);
  has_.bins = bins;
  return {};
}

}  // namespace millrace
