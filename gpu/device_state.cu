#include <algorithm>
#include <bit>

#include "gpu/device_state.cuh"
#include "gpu/group_key.h"

namespace millrace {
namespace {

constexpr std::uint64_t rows_min = 64;
constexpr std::uint64_t heap_words_min = 1024;
constexpr std::uint64_t bins_min = 256;
/// Bins in use of a table, at most: probes stay short.
constexpr std::uint64_t usable_bins(std::uint64_t bins) {
  return bins / 4 * 3;
}
/// Words of the longest key.
constexpr std::uint64_t key_words_max = limits::group_key_bytes_max / 8 + 1;

status zero(const device_memory& memory, cudaStream_t stream) {
  MILLRACE_CUDA_TRY(cudaMemsetAsync(memory.data(), 0, memory.bytes(), stream));
  return {};
}

/// Device memory through the pinned piece to `out`.
template <class Value>
status copy_down(const std::byte* from, std::size_t count, const device_stage& stage,
                 std::vector<Value>& out) {
  const std::size_t bytes = count * sizeof(Value);
  const std::size_t at = out.size();
  out.resize(at + count);
  auto* const to = reinterpret_cast<std::byte*>(out.data() + at);
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t some = std::min(bytes - done, device_stage::chunk_bytes);
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(stage.host.data(), from + done, some, cudaMemcpyDeviceToHost,
                                      stage.stream.get()));
    MILLRACE_CUDA_TRY(cudaStreamSynchronize(stage.stream.get()));
    std::memcpy(to + done, stage.host.data(), some);
    done += some;
  }
  return {};
}

/// From the host, through the pinned piece.
status copy_up(std::byte* to, const void* from, std::size_t bytes, const device_stage& stage) {
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t some = std::min(bytes - done, device_stage::chunk_bytes);
    std::memcpy(stage.host.data(), static_cast<const std::byte*>(from) + done, some);
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(to + done, stage.host.data(), some, cudaMemcpyHostToDevice,
                                      stage.stream.get()));
    MILLRACE_CUDA_TRY(cudaStreamSynchronize(stage.stream.get()));
    done += some;
  }
  return {};
}

result<std::uint64_t> read_count(const device_stage& stage, std::size_t which) {
  std::vector<std::uint64_t> counts;
  MILLRACE_TRY(copy_down(stage.numbers.data() + which * sizeof(std::uint64_t), 1, stage, counts));
  return counts.front();
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
          .counters = counters()};
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
  want.rows = std::max({has_.rows, rows_min, std::bit_ceil(rows)});
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
        want.rows > std::max(has_.rows, rows_min) ? bytes_of({.rows = want.rows}) : 0;
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

// --- down to the host ----------------------------------------------------------------------------

status device_state::fetch(std::int64_t until_us, const device_stage& stage,
                           fetched_groups& out) const {
  out.row_words = row_words_;
  if (has_.rows == 0 || now_.groups == 0) return {};
  const row_choice which{.hop_us = program_->plan.window.hop_us, .until_us = until_us};
  MILLRACE_TRY(zero(stage.numbers, stage.stream.get()));
  MILLRACE_TRY(fetch_rows(which, stage, out));
  return program_->sketches.empty() ? status() : fetch_bins(which, stage, out);
}

status device_state::fetch_rows(const row_choice& which, const device_stage& stage,
                                fetched_groups& out) const {
  const cudaStream_t stream = stage.stream.get();
  const device_tables tables = all_tables();
  auto* const counts = stage.numbers.as<std::uint64_t>();
  auto* const list = row_list_.as<std::uint32_t>();
  MILLRACE_CUDA_TRY(list_rows(tables, which, list, counts, stream));
  MILLRACE_ASSIGN(const std::uint64_t count, read_count(stage, 0));
  MILLRACE_TRY(copy_down(row_list_.data(), count, stage, out.numbers));
  std::uint64_t chunk = device_stage::chunk_bytes / (sizeof(std::uint64_t) * row_words_);
  if (keys_in_heap_) {
    chunk = std::min(chunk, device_stage::chunk_bytes / (sizeof(std::uint64_t) * key_words_max));
  }
  out.rows.reserve(count * row_words_);
  for (std::uint64_t from = 0; from < count; from += chunk) {
    const auto some = static_cast<std::uint32_t>(std::min(chunk, count - from));
    const std::size_t first_row = out.rows.size();
    const std::size_t first_key = out.keys.size();
    MILLRACE_CUDA_TRY(cudaMemsetAsync(counts + 1, 0, sizeof *counts, stream));
    MILLRACE_CUDA_TRY(gather_rows(tables, list + from, some, stage.rows.as<std::uint64_t>(),
                                  stage.keys.as<std::uint64_t>(), counts + 1, stream));
    MILLRACE_TRY(copy_down(stage.rows.data(), std::size_t{some} * row_words_, stage, out.rows));
    if (!keys_in_heap_) continue;
    MILLRACE_ASSIGN(const std::uint64_t words, read_count(stage, 1));
    MILLRACE_TRY(copy_down(stage.keys.data(), words, stage, out.keys));
    for (std::size_t at = first_row; at < out.rows.size(); at += row_words_)
      out.rows[at + row_key] += first_key;
  }
  return {};
}

status device_state::fetch_bins(const row_choice& which, const device_stage& stage,
                                fetched_groups& out) const {
  auto* const counts = stage.numbers.as<std::uint64_t>();
  MILLRACE_CUDA_TRY(list_bins(all_tables(), which, bins_spare_.as<sketch_slot>(), counts + 2,
                              stage.stream.get()));
  MILLRACE_ASSIGN(const std::uint64_t count, read_count(stage, 2));
  return copy_down(bins_spare_.data(), count, stage, out.bins);
}

status device_state::drop(std::int64_t until_us, const device_stage& stage) {
  if (has_.rows == 0) return {};
  const cudaStream_t stream = stage.stream.get();
  const row_choice which{.hop_us = program_->plan.window.hop_us, .until_us = until_us};
  const device_tables from = all_tables();
  device_tables to = from;
  if (!program_->sketches.empty()) {
    MILLRACE_TRY(zero(bins_spare_, stream));
    to.sketches = bins_spare_.as<sketch_slot>();
    MILLRACE_CUDA_TRY(move_bins(from, to, which, stream));
    std::swap(bins_, bins_spare_);
  }
  MILLRACE_TRY(zero(index_spare_, stream));
  to.index = index_spare_.as<std::uint64_t>();
  MILLRACE_CUDA_TRY(move_index(from, to, which, stream));
  std::swap(index_, index_spare_);
  if (keys_in_heap_) {
    MILLRACE_CUDA_TRY(cudaMemsetAsync(&counters()->heap_words, 0, sizeof(std::uint64_t), stream));
    device_tables packed = to;
    packed.heap = heap_spare_.as<std::uint64_t>();
    MILLRACE_CUDA_TRY(move_keys(to, packed, stream));
    std::swap(heap_, heap_spare_);
  }
  MILLRACE_TRY(drop_panes(until_us, stage));
  return read_counters(stage);
}

status device_state::drop_panes(std::int64_t until_us, const device_stage& stage) {
  std::erase_if(
      panes_, [&](std::int64_t start) { return start + program_->plan.window.hop_us <= until_us; });
  return send_panes(stage);
}

status device_state::send_panes(const device_stage& stage) {
  MILLRACE_TRY(zero(pane_slots_, stage.stream.get()));
  const auto count = static_cast<std::uint32_t>(panes_.size());
  MILLRACE_TRY(copy_up(pane_list_.data(), panes_.data(), sizeof(std::int64_t) * count, stage));
  MILLRACE_TRY(
      copy_up(reinterpret_cast<std::byte*>(&counters()->panes), &count, sizeof count, stage));
  MILLRACE_CUDA_TRY(put_panes(all_tables(), count, stage.stream.get()));
  return {};
}

status device_state::load(const fetched_groups& groups, const device_stage& stage) {
  const auto count = static_cast<std::uint32_t>(groups.numbers.size());
  if (count == 0) return {};
  const std::uint64_t bins = groups.bins.size();
  const capacity want{
      .rows = std::bit_ceil(std::max<std::uint64_t>(count, rows_min)),
      .heap_words = keys_in_heap_ ? std::bit_ceil(groups.keys.size() + heap_words_min) : 0,
      .bins = program_->sketches.empty() ? 0 : std::bit_ceil(bins + bins / 3 + bins_min)};
  if (bytes_of(want) > program_->plan.state_bytes_max) {
    return error(error_code::exhausted, "its " + std::to_string(count) +
                                            " groups do not fit into state_bytes_max " +
                                            std::to_string(program_->plan.state_bytes_max));
  }
  const cudaStream_t stream = stage.stream.get();
  MILLRACE_TRY(grow_rows(want.rows, stage));
  MILLRACE_TRY(
      copy_up(rows_.data(), groups.rows.data(), sizeof(std::uint64_t) * groups.rows.size(), stage));
  MILLRACE_CUDA_TRY(put_rows(all_tables(), count, stream));
  if (keys_in_heap_) {
    MILLRACE_TRY(grow_heap(want.heap_words, stage));
    MILLRACE_TRY(copy_up(heap_.data(), groups.keys.data(),
                         sizeof(std::uint64_t) * groups.keys.size(), stage));
  }
  if (want.bins != 0) {
    MILLRACE_TRY(grow_bins(want.bins, stage));
    MILLRACE_TRY(
        copy_up(bins_spare_.data(), groups.bins.data(), sizeof(sketch_slot) * bins, stage));
    MILLRACE_CUDA_TRY(put_bins(all_tables(), bins_spare_.as<const sketch_slot>(), bins, stream));
  }
  now_ = {};
  now_.groups = count;
  now_.heap_words = groups.keys.size();
  now_.sketch_entries = bins;
  now_.fresh_rows = count;
  MILLRACE_TRY(copy_up(counters_.data(), &now_, sizeof now_, stage));
  for (std::size_t at = 0; at < groups.rows.size(); at += row_words_)
    panes_.push_back(static_cast<std::int64_t>(groups.rows[at + row_pane]));
  std::ranges::sort(panes_);
  panes_.erase(std::unique(panes_.begin(), panes_.end()), panes_.end());
  MILLRACE_TRY(send_panes(stage));
  return read_counters(stage);
}

status device_state::read_counters(const device_stage& stage) {
  std::vector<table_counters> counters;
  MILLRACE_TRY(copy_down(counters_.data(), 1, stage, counters));
  now_ = counters.front();
  return {};
}

}  // namespace millrace
