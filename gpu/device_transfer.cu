// A view's groups between a device and the host: copied out, dropped, loaded; through one pinned
// piece, waited for.
#include <algorithm>
#include <bit>
#include <cstring>

#include "gpu/device_state.cuh"

namespace millrace {
namespace {

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
      .rows = std::bit_ceil(std::max<std::uint64_t>(count, table_rows_min)),
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
