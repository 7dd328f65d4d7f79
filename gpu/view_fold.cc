#include "gpu/view_fold.h"

#include <algorithm>

#include "base/limits.h"
#include "gpu/pane_store.h"
#include "gpu/window_math.h"

namespace millrace {

view_fold::view_fold(fold_program program)
    : program_(std::move(program)),
      budget_{.bytes_max = program_.plan.state_bytes_max, .groups_max = program_.plan.groups_max},
      keys_(program_),
      store_(std::make_unique<pane_store>(program_, budget_)) {}

fold_size view_fold::size() const {
  return {.groups = budget_.groups, .windows = store_->windows(), .bytes = budget_.bytes};
}

void view_fold::fold(const fold_chunk& chunk, fold_job::view_part& part) {
  for (const std::uint16_t column : program_.columns) {
    const field_value* const values = chunk.column(column);
    std::uint64_t wrong = 0;
    for (std::size_t i = 0; i < chunk.records.size(); ++i) {
      wrong += values[i].state == value_state::wrong_type ? 1u : 0u;
    }
    part.counts.nulls += wrong;
  }
  batch_.chunk = &chunk;
  batch_.count = 0;
  select(chunk, part);
  std::uint64_t left_out = keys_.encode(batch_);
  left_out += store_->fold(batch_);
  part.counts.left_out += left_out;
  part.counts.folded += batch_.count;
}

void view_fold::select(const fold_chunk& chunk, fold_job::view_part& part) {
  for (const fold_chunk::segment& segment : chunk.segments)
    select_of_run(chunk, segment, part);
}

void view_fold::select_of_run(const fold_chunk& chunk, const fold_chunk::segment& segment,
                              fold_job::view_part& part) {
  const view_plan& plan = program_.plan;
  const field_value* const times =
      program_.time_column ? chunk.column(*program_.time_column) : nullptr;
  fold_counts& counts = part.counts;
  shard_clock& clock = part.clocks[segment.run];
  std::int64_t newest = clock.newest_us;
  std::int64_t watermark = shard_watermark(newest, clock.floor_us, plan.delay_us);
  for (std::uint32_t i = segment.first; i < segment.first + segment.count; ++i) {
    const auto time = times == nullptr ? static_cast<std::int64_t>(chunk.arrival_us)
                                       : static_cast<std::int64_t>(times[i].bits);
    const bool has_time = (times == nullptr || !times[i].is_null()) && is_event_time(time);
    if (!has_time) [[unlikely]] {
      ++counts.no_time;
      continue;
    }
    const bool future = is_future(time, chunk.arrival_us, plan.future_max_us);
    const std::int64_t before = watermark;
    if (time > newest && !future) {
      newest = time;
      watermark = shard_watermark(newest, clock.floor_us, plan.delay_us);
    }
    if (time < before) [[unlikely]] {
      ++counts.late;
      if (part.late.size() < limits::late_records_max) {
        const record_input& record = chunk.records[i];
        part.late.push_back({.time_us = time,
                             .watermark_us = before,
                             .shard = shard_index(record.shard),
                             .number = record_index(record.number)});
      }
      continue;
    }
    counts.future += future ? 1u : 0u;
    batch_.index[batch_.count] = static_cast<std::uint16_t>(i);
    batch_.time_us[batch_.count++] = time;
  }
  clock.newest_us = newest;
}

}  // namespace millrace
