#include "gpu/view_fold.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"
#include "gpu/filter.h"
#include "gpu/pane_store.h"
#include "gpu/session_store.h"
#include "gpu/window_math.h"

namespace millrace {
namespace {

/// Values of the wrong type. There are hardly ever any: whether there are is asked first.
std::uint64_t count_wrong(const field_value* values, std::size_t count) {
  static_assert(static_cast<int>(value_state::wrong_type) == 1 &&
                (static_cast<int>(value_state::missing) & 1) == 0 &&
                (static_cast<int>(value_state::value) & 1) == 0);
  unsigned states = 0;
  for (std::size_t i = 0; i < count; ++i)
    states |= static_cast<unsigned>(values[i].state);
  if ((states & 1) == 0) return 0;
  return static_cast<std::uint64_t>(
      std::count_if(values, values + count,
                    [](const field_value& one) { return one.state == value_state::wrong_type; }));
}

void add_late(fold_job::view_part& part, const record_input& record, std::int64_t time_us,
              std::int64_t watermark_us) {
  ++part.counts.late;
  if (part.late.size() >= limits::late_records_max) return;
  part.late.push_back({.time_us = time_us,
                       .watermark_us = watermark_us,
                       .shard = shard_index(record.shard),
                       .number = record_index(record.number)});
}

}  // namespace

view_fold::view_fold(fold_program program)
    : program_(std::move(program)),
      budget_{.bytes_max = program_.plan.state_bytes_max, .groups_max = program_.plan.groups_max},
      keys_(program_),
      store_(make_store()) {}

std::unique_ptr<window_store> view_fold::make_store() {
  if (program_.plan.window.kind == window_kind::session) {
    return std::make_unique<session_store>(program_, budget_);
  }
  return std::make_unique<pane_store>(program_, budget_);
}

status view_fold::restore(byte_view snapshot) {
  MILLRACE_CHECK(budget_.groups == 0, "restore into an empty view");
  MILLRACE_ASSIGN(snapshot_reader reader, snapshot_reader::open(program_, snapshot));
  status restored = store_->restore(reader);
  if (restored.ok()) return {};
  store_ = make_store();
  return std::move(restored).failure().with_context("view '" + program_.plan.name + "': snapshot");
}

void view_fold::close(std::int64_t watermark_us, window_rows& out) {
  if (watermark_us < -watermark_max_us) return;
  store_->close(std::min(watermark_us, watermark_max_us), out);
}

fold_size view_fold::size() const {
  return {.groups = budget_.groups,
          .windows = store_->windows(),
          .bytes = budget_.bytes + budget_.spare.bytes()};
}

void view_fold::fold(const fold_chunk& chunk, fold_job::view_part& part) {
  for (const std::uint16_t column : program_.columns) {
    part.counts.nulls += count_wrong(chunk.column(column), chunk.count);
  }
  if (!program_.filter.empty()) {
    for (std::size_t i = 0; i < chunk.count; ++i) {
      is_taken_[i] = run_filter(program_.filter.data(),
                                [&](std::uint16_t column) { return chunk.column(column)[i]; });
    }
  }
  batch_.chunk = &chunk;
  batch_.count = 0;
  select(chunk, part);
  const slot_lines lines = batch_.count == 0 ? slot_lines{} : store_->lines_at(batch_.time_us[0]);
  std::uint64_t left_out = keys_.encode(batch_, lines);
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
  const field_value* const times =
      program_.time_column ? chunk.column(*program_.time_column) : nullptr;
  const auto arrival = static_cast<std::int64_t>(chunk.arrival_us);
  const bool* const taken = program_.filter.empty() ? nullptr : is_taken_;
  shard_clock& clock = part.clocks[segment.run];
  // What a record changes is in registers: nothing that is written here can be it.
  const std::int64_t floor = clock.floor_us;
  const std::int64_t delay = program_.plan.delay_us;
  const std::int64_t future_max = program_.plan.future_max_us;
  std::int64_t newest = clock.newest_us;
  std::int64_t watermark = shard_watermark(newest, floor, delay);
  std::uint32_t count = batch_.count;
  std::uint64_t filtered = 0;
  std::uint64_t futures = 0;
  for (std::uint32_t i = segment.first; i < segment.first + segment.count; ++i) {
    const auto time = times == nullptr ? arrival : static_cast<std::int64_t>(times[i].bits);
    const bool has_time = (times == nullptr || !times[i].is_null()) && is_event_time(time);
    const bool is_taken = taken == nullptr || taken[i];
    filtered += is_taken ? 0u : 1u;
    if (!has_time) [[unlikely]] {
      part.counts.no_time += is_taken ? 1u : 0u;
      continue;
    }
    const bool future = is_future(time, chunk.arrival_us, future_max);
    const std::int64_t before = watermark;
    if (time > newest && !future) {
      newest = time;
      watermark = shard_watermark(newest, floor, delay);
    }
    if (!is_taken) continue;
    if (time < before) [[unlikely]] {
      add_late(part, chunk.room[i], time, before);
      continue;
    }
    futures += future ? 1u : 0u;
    batch_.index[count] = static_cast<std::uint16_t>(i);
    batch_.time_us[count++] = time;
  }
  batch_.count = count;
  part.counts.filtered += filtered;
  part.counts.future += futures;
  clock.newest_us = newest;
}

}  // namespace millrace
