// What a block did, as it comes back from a device: counts and clocks, then, where there are some,
// late records and new panes.
#include <algorithm>

#include "gpu/fold_device.cuh"

namespace millrace {

result<bool> fold_device::finish(const fold_job& job, std::span<fold_job::view_part* const> parts) {
  cudaError_t code = cudaSetDevice(stage_.device);
  if (code == cudaSuccess) code = cudaEventQuery(done_.get());
  if (code == cudaErrorNotReady) return false;
  if (code != cudaSuccess) return cuda_error(code, "a block on the device");
  if (waiting_ == waiting::block) {
    for (std::size_t v = 0; v < views_.size(); ++v)
      take_report(job, views_[v], *parts[v]);
    detail_view_ = 0;
    waiting_ = waiting::details;
  } else {
    take_details(job, *parts[detail_view_]);
    ++detail_view_;
  }
  MILLRACE_ASSIGN(const bool asked, ask_details());
  if (asked) return false;
  waiting_ = waiting::nothing;
  return true;
}

void fold_device::take_report(const fold_job& job, view& one, fold_job::view_part& part) {
  const device_counts& counts = *one.report.as<device_counts>();
  part.counts = {.folded = counts.selected - counts.left_out,
                 .filtered = counts.filtered,
                 .late = counts.late,
                 .no_time = counts.no_time,
                 .future = counts.future,
                 .nulls = counts.nulls,
                 .left_out = counts.left_out};
  part.late.clear();
  one.state.note(*one.report.as<table_counters>(report_counters_at));
  const auto* const newest = one.report.as<const std::int64_t>(report_newest_at);
  for (std::size_t r = 0; r < job.runs.size(); ++r) {
    if (job.runs[r].record_count != 0) part.clocks[r].newest_us = newest[r];
  }
}

result<bool> fold_device::ask_details() {
  const cudaStream_t stream = stage_.stream.get();
  for (; detail_view_ < views_.size(); ++detail_view_) {
    view& one = views_[detail_view_];
    const std::uint64_t late = one.report.as<device_counts>()->late;
    const std::size_t panes = one.state.now().panes - one.state.panes().size();
    if (late == 0 && panes == 0) continue;
    const std::size_t late_bytes = sizeof(device_late) * late;
    if (late != 0) {
      MILLRACE_CUDA_TRY(cudaMemcpyAsync(details_.data(), one.late.data(), late_bytes,
                                        cudaMemcpyDeviceToHost, stream));
    }
    if (panes != 0) {
      MILLRACE_CUDA_TRY(cudaMemcpyAsync(
          details_.data() + late_bytes, one.state.device_panes() + one.state.panes().size(),
          sizeof(std::int64_t) * panes, cudaMemcpyDeviceToHost, stream));
    }
    MILLRACE_CUDA_TRY(cudaEventRecord(done_.get(), stream));
    return true;
  }
  return false;
}

void fold_device::take_details(const fold_job& job, fold_job::view_part& part) {
  view& one = views_[detail_view_];
  auto* const late = details_.as<device_late>();
  const std::size_t count = part.counts.late;
  const auto* const panes = details_.as<const std::int64_t>(sizeof(device_late) * count);
  std::vector<std::int64_t>& known = one.state.panes();
  known.insert(known.end(), panes, panes + (one.state.now().panes - known.size()));
  std::sort(late, late + count,
            [](const device_late& a, const device_late& b) { return a.place < b.place; });
  const auto* const runs = runs_up_.as<const device_run>();
  const device_run* const end = runs + job.runs.size();
  for (std::size_t i = 0; i < std::min<std::size_t>(count, limits::late_records_max); ++i) {
    const device_run& run = *(
        std::upper_bound(runs, end, late[i].place,
                         [](std::uint32_t place, const device_run& a) { return place < a.place; }) -
        1);
    part.late.push_back({.time_us = late[i].time_us,
                         .watermark_us = late[i].watermark_us,
                         .shard = shard_index(run.shard),
                         .number = record_index(run.first + (late[i].place - run.place))});
  }
}

}  // namespace millrace
