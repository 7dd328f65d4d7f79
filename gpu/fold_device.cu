#include <algorithm>
#include <cstring>

#include "base/record_format.h"
#include "gpu/extract_kernels.cuh"
#include "gpu/fold_device.cuh"

namespace millrace {
namespace {

/// Of the pinned input: so much is gathered before a copy of it is asked for.
constexpr std::size_t send_bytes = std::size_t{1} << 20;

std::uint32_t records_of(const fold_job& job) {
  std::uint64_t records = 0;
  for (const fold_run& run : job.runs)
    records += run.record_count;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(records, UINT32_MAX));
}
std::uint64_t bytes_of(const fold_job& job) {
  std::uint64_t bytes = 0;
  for (const fold_run& run : job.runs)
    bytes += run.bytes.size();
  return bytes;
}

}  // namespace

result<fold_device> fold_device::create(int device, std::span<const fold_program* const> programs,
                                        std::span<const fold_pass> passes,
                                        const cuda_fold_options& options) {
  fold_device made;
  made.options_ = options;
  MILLRACE_CUDA_TRY(cudaSetDevice(device));
  cudaDeviceProp properties;
  MILLRACE_CUDA_TRY(cudaGetDeviceProperties(&properties, device));
  made.name_ = properties.name;
  MILLRACE_ASSIGN(made.stage_, device_stage::create(device));
  MILLRACE_ASSIGN(made.done_, make_event(device));
  const std::uint32_t records = options.block_records_max;
  const batch_layout largest{
      .records = records, .shards = 0, .record_bytes = options.block_bytes_max};
  MILLRACE_ASSIGN(made.input_, allocate_pinned(largest.input_bytes(), device, "a block"));
  MILLRACE_ASSIGN(made.block_, allocate_device(largest.input_bytes() + batch_layout::slack_bytes,
                                               device, "a block"));
  const std::size_t runs_bytes =
      (sizeof(device_run) + sizeof(std::uint16_t)) * limits::open_shards_max;
  MILLRACE_ASSIGN(made.runs_up_, allocate_pinned(runs_bytes, device, "runs"));
  MILLRACE_ASSIGN(made.runs_, allocate_device(runs_bytes, device, "runs"));
  MILLRACE_ASSIGN(made.times_, allocate_device(sizeof(std::int64_t) * records, device, "times"));
  MILLRACE_ASSIGN(made.found_rows_,
                  allocate_device(sizeof(std::uint32_t) * records, device, "groups' rows"));
  const std::size_t tiles = select_tiles(records);
  MILLRACE_ASSIGN(made.tile_best_, allocate_device(sizeof(std::int64_t) * tiles, device, "tiles"));
  MILLRACE_ASSIGN(made.tile_heads_,
                  allocate_device(sizeof(std::uint32_t) * tiles, device, "tiles"));
  std::size_t panes = 0;
  for (const fold_program* const program : programs)
    panes = std::max<std::size_t>(panes, program->plan.windows_max);
  MILLRACE_ASSIGN(made.details_,
                  allocate_pinned(sizeof(device_late) * records + sizeof(std::int64_t) * panes,
                                  device, "late records"));
  for (const fold_program* const program : programs)
    MILLRACE_TRY(made.make_view(*program));
  for (const fold_pass& plan : passes)
    MILLRACE_TRY(made.make_pass(plan));
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(made.stage_.stream.get()));
  return std::move(made);
}

status fold_device::make_view(const fold_program& program) {
  const int device = stage_.device;
  view& one = views_.emplace_back();
  one.program = &program;
  MILLRACE_ASSIGN(one.tables, fold_tables::send(program, device, stage_.stream.get()));
  MILLRACE_ASSIGN(one.state, device_state::create(program, stage_));
  constexpr std::size_t runs = limits::open_shards_max;
  MILLRACE_ASSIGN(one.clocks, allocate_device(sizeof(shard_clock) * runs, device, "clocks"));
  MILLRACE_ASSIGN(one.newest, allocate_device(sizeof(std::int64_t) * runs, device, "clocks"));
  MILLRACE_ASSIGN(one.counts, allocate_device(sizeof(device_counts), device, "counts"));
  MILLRACE_ASSIGN(one.late, allocate_device(sizeof(device_late) * options_.block_records_max,
                                            device, "late records"));
  MILLRACE_ASSIGN(one.clocks_up, allocate_pinned(sizeof(shard_clock) * runs, device, "clocks"));
  MILLRACE_ASSIGN(one.report, allocate_pinned(report_newest_at + sizeof(std::int64_t) * runs,
                                              device, "a report"));
  return {};
}

status fold_device::make_pass(const fold_pass& plan) {
  pass& one = passes_.emplace_back();
  one.plan = &plan;
  const std::span<const std::byte> tables = plan.fields.tables();
  MILLRACE_ASSIGN(one.tables, allocate_device(tables.size(), stage_.device, "fields' tables"));
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.tables.data(), tables.data(), tables.size(),
                                    cudaMemcpyHostToDevice, stage_.stream.get()));
  const std::size_t fields = std::max<std::uint32_t>(plan.fields.field_count(), 1);
  MILLRACE_ASSIGN(one.columns,
                  allocate_device(sizeof(field_value) * fields * options_.block_records_max,
                                  stage_.device, "fields"));
  return {};
}

status fold_device::select() const {
  MILLRACE_CUDA_TRY(cudaSetDevice(stage_.device));
  return {};
}

status fold_device::check_size(const fold_job& job) const {
  if (records_of(job) <= options_.block_records_max && bytes_of(job) <= options_.block_bytes_max &&
      job.runs.size() <= limits::open_shards_max) {
    return {};
  }
  return error(error_code::exhausted,
               "a block of " + std::to_string(records_of(job)) + " records, " +
                   std::to_string(bytes_of(job)) + " bytes and " + std::to_string(job.runs.size()) +
                   " shards is over the device's room for " +
                   std::to_string(options_.block_records_max) + " records, " +
                   std::to_string(options_.block_bytes_max) + " bytes and " +
                   std::to_string(limits::open_shards_max) + " shards");
}

// --- up ------------------------------------------------------------------------------------------

bool fold_device::has(const fold_job& job) const {
  const device_batch* const batch = job.device.get();
  if (batch == nullptr || batch->device() != stage_.device) return false;
  // The block is what was routed, or something is wrong and its bytes are sent.
  if (batch->layout().records != records_of(job)) return false;
  std::size_t run = 0;
  for (const device_batch::shard_part& part : batch->parts()) {
    if (run == job.runs.size() || job.runs[run].record_count != part.records) return false;
    ++run;
  }
  return run == job.runs.size();
}

status fold_device::send_runs(const fold_job& job) {
  auto* const runs = runs_up_.as<device_run>();
  std::uint32_t place = 0;
  for (std::size_t r = 0; r < job.runs.size(); ++r) {
    const fold_run& run = job.runs[r];
    runs[r] = {.first = run.first.value, .shard = run.shard.value, .place = place};
    place += run.record_count;
  }
  std::size_t bytes = sizeof(device_run) * job.runs.size();
  if (has(job)) {
    auto* const run_of = runs_up_.as<std::uint16_t>(bytes);
    std::memset(run_of, 0, sizeof(std::uint16_t) * job.device->layout().shards);
    std::uint16_t run = 0;
    for (const device_batch::shard_part& part : job.device->parts())
      run_of[part.ordinal] = run++;
    bytes += sizeof(std::uint16_t) * job.device->layout().shards;
  }
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(runs_.data(), runs_up_.data(), bytes, cudaMemcpyHostToDevice,
                                    stage_.stream.get()));
  return {};
}

result<fold_records> fold_device::send_records(const fold_job& job) {
  const cudaStream_t stream = stage_.stream.get();
  MILLRACE_TRY(send_runs(job));
  fold_records block{.records = {},
                     .runs = runs_.as<const device_run>(),
                     .run_count = static_cast<std::uint32_t>(job.runs.size()),
                     .arrival_us = job.arrival_us,
                     .shard = nullptr,
                     .rank = nullptr,
                     .run_of_ordinal = nullptr};
  if (has(job)) {
    block.records = job.device->records();
    block.shard = job.device->shard();
    block.rank = job.device->rank();
    block.run_of_ordinal = runs_.as<const std::uint16_t>(sizeof(device_run) * job.runs.size());
    return block;
  }
  const batch_layout layout{.records = records_of(job), .shards = 0, .record_bytes = bytes_of(job)};
  auto* const offsets = input_.as<std::uint32_t>(layout.offsets_at());
  std::byte* const to = input_.data() + layout.bytes_at();
  std::uint32_t at = 0;
  std::uint32_t record = 0;
  std::uint32_t sent = 0;
  const auto send_up_to = [&](std::uint32_t end) -> status {
    if (end == sent) return {};
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(block_.data() + layout.bytes_at() + sent, to + sent,
                                      end - sent, cudaMemcpyHostToDevice, stream));
    sent = end;
    return {};
  };
  for (const fold_run& run : job.runs) {
    std::memcpy(to + at, run.bytes.data(), run.bytes.size());
    for (std::uint32_t i = 0; i < run.record_count; ++i) {
      offsets[record++] = at;
      at += record_view(to + at).stride();
    }
    if (at - sent >= send_bytes) MILLRACE_TRY(send_up_to(at));
  }
  MILLRACE_TRY(send_up_to(at));
  if (record != 0) {
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(block_.data(), input_.data(), sizeof(std::uint32_t) * record,
                                      cudaMemcpyHostToDevice, stream));
  }
  block.records = {block_.data() + layout.bytes_at(), block_.as<const std::uint32_t>(), record};
  return block;
}

status fold_device::send_clocks(const fold_job& job, std::span<fold_job::view_part* const> parts) {
  for (std::size_t v = 0; v < views_.size() && !job.runs.empty(); ++v) {
    const std::span<const shard_clock> clocks = parts[v]->clocks;
    std::memcpy(views_[v].clocks_up.data(), clocks.data(), clocks.size_bytes());
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(views_[v].clocks.data(), views_[v].clocks_up.data(),
                                      clocks.size_bytes(), cudaMemcpyHostToDevice,
                                      stage_.stream.get()));
  }
  return {};
}

// --- a block -------------------------------------------------------------------------------------

status fold_device::start(const fold_job& job, std::span<fold_job::view_part* const> parts,
                          std::span<const view_room> rooms) {
  MILLRACE_TRY(select());
  const device_state::arrival most{.records = records_of(job), .bytes = bytes_of(job)};
  for (view& one : views_)
    MILLRACE_TRY(one.state.make_room(most, stage_));
  MILLRACE_TRY(send_clocks(job, parts));
  MILLRACE_ASSIGN(const fold_records block, send_records(job));
  for (const pass& one : passes_) {
    const device_columns columns{one.columns.as<field_value>(), options_.block_records_max};
    MILLRACE_CUDA_TRY(extract_fields(block, {one.tables.data()}, columns, stage_.stream.get()));
    for (const std::uint32_t v : one.plan->views)
      MILLRACE_TRY(fold_view(views_[v], block, columns, rooms[v]));
  }
  MILLRACE_CUDA_TRY(cudaEventRecord(done_.get(), stage_.stream.get()));
  waiting_ = waiting::block;
  return {};
}

status fold_device::fold_view(const view& one, const fold_records& block,
                              const device_columns& columns, const view_room& room) {
  const cudaStream_t stream = stage_.stream.get();
  auto* const counts = one.counts.as<device_counts>();
  MILLRACE_CUDA_TRY(cudaMemsetAsync(counts, 0, sizeof *counts, stream));
  MILLRACE_CUDA_TRY(select_records({.block = block,
                                    .columns = columns,
                                    .program = one.tables.program(),
                                    .clocks = one.clocks.as<const shard_clock>(),
                                    .newest_us = one.newest.as<std::int64_t>(),
                                    .time_us = times_.as<std::int64_t>(),
                                    .tile_best = tile_best_.as<std::int64_t>(),
                                    .tile_heads = tile_heads_.as<std::uint32_t>(),
                                    .late = one.late.as<device_late>(),
                                    .counts = counts},
                                   stream));
  const group_work groups{
      .block = block,
      .columns = columns,
      .program = one.tables.program(),
      .time_us = times_.as<const std::int64_t>(),
      .row = found_rows_.as<std::uint32_t>(),
      .tables = one.state.tables(room.groups_max, room.panes_max, room.closed_until_us),
      .counts = counts};
  MILLRACE_CUDA_TRY(find_groups(groups, stream));
  MILLRACE_CUDA_TRY(fold_groups(groups, stream));
  MILLRACE_CUDA_TRY(fold_places(groups, stream));
  MILLRACE_CUDA_TRY(fold_sketches(groups, stream));
  MILLRACE_CUDA_TRY(
      cudaMemcpyAsync(one.report.data(), counts, sizeof *counts, cudaMemcpyDeviceToHost, stream));
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.report.data() + report_counters_at, one.state.counters(),
                                    sizeof(table_counters), cudaMemcpyDeviceToHost, stream));
  if (block.run_count != 0) {
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.report.data() + report_newest_at, one.newest.data(),
                                      sizeof(std::int64_t) * block.run_count,
                                      cudaMemcpyDeviceToHost, stream));
  }
  return {};
}

}  // namespace millrace
