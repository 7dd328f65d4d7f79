// Making the fold, and its way with a block.
#include <algorithm>

#include "gpu/cuda_fold_core.cuh"
#include "gpu/extract_pass.h"

namespace millrace {

result<std::unique_ptr<window_fold>> cuda_fold::create(std::vector<view_plan> plans,
                                                       const cuda_fold_options& options) {
  auto made = std::make_unique<cuda_fold>();
  MILLRACE_TRY(made->make_views(std::move(plans)));
  MILLRACE_TRY(made->make_devices(options));
  made->description_ =
      "cuda (" + made->devices_.front().name() +
      (made->devices_.size() > 1 ? ", " + std::to_string(made->devices_.size()) + " devices" : "") +
      (made->rest_ != nullptr ? "; sessions on the CPU)" : ")");
  return std::unique_ptr<window_fold>(std::move(made));
}

status cuda_fold::make_views(std::vector<view_plan> plans) {
  std::vector<view_plan> here;
  std::vector<view_plan> rest;
  for (view_plan& plan : plans) {
    std::vector<view_plan>& to = plan.window.kind == window_kind::session ? rest : here;
    places_.push_back({&to == &here, static_cast<std::uint32_t>(to.size())});
    to.push_back(std::move(plan));
  }
  MILLRACE_ASSIGN(const std::vector<extract_pass> passes, plan_passes(here));
  views_.resize(here.size());
  for (const extract_pass& one : passes) {
    MILLRACE_ASSIGN(extractor fields,
                    extractor::compile(one.layout, one.csv_delimiter, one.fields));
    fold_pass& added = passes_.emplace_back(fold_pass{std::move(fields), {}});
    for (const extract_pass::view& view : one.views) {
      views_[view.number] =
          std::make_unique<host_view>(compile_fold(here[view.number], view.columns));
      added.views.push_back(view.number);
    }
  }
  parts_.resize(here.size());
  if (rest.empty()) return {};
  rest_parts_.resize(rest.size());
  MILLRACE_ASSIGN(rest_, make_cpu_fold(std::move(rest)));
  return {};
}

status cuda_fold::make_devices(const cuda_fold_options& options) {
  if (views_.empty()) return error(error_code::unsupported, "sessions are folded by the CPU");
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return error(error_code::unsupported, cudaGetErrorString(code));
  }
  if (count == 0) return error(error_code::unsupported, "there is no CUDA device");
  std::vector<const fold_program*> programs;
  for (const auto& one : views_)
    programs.push_back(&one->program);
  const int used = std::min(count, static_cast<int>(options.devices_max));
  devices_.reserve(static_cast<std::size_t>(used));
  for (int device = 0; device < used; ++device) {
    auto one = fold_device::create(device, programs, passes_, options);
    if (!one.ok()) {
      return std::move(one).failure().with_context("device " + std::to_string(device));
    }
    devices_.push_back(*std::move(one));
  }
  return {};
}

// --- blocks --------------------------------------------------------------------------------------

/// The one that has the records, or else each in its turn.
fold_device& cuda_fold::device_for(const fold_job& job) {
  for (fold_device& one : devices_) {
    if (one.has(job)) return one;
  }
  return devices_[next_++ % devices_.size()];
}

view_room cuda_fold::room_for(std::size_t view, const fold_device& on) const {
  const host_view& one = *views_[view];
  std::uint64_t groups = one.budget.groups;
  std::set<std::int64_t> panes;
  for (const fold_device& other : devices_) {
    if (&other == &on) continue;
    groups += other.state(view).now().groups;
    panes.insert(other.state(view).panes().begin(), other.state(view).panes().end());
  }
  const std::uint64_t elsewhere = one.windows->windows() + panes.size();
  const view_plan& plan = one.program.plan;
  return {.groups_max = plan.groups_max - std::min(plan.groups_max, groups),
          .panes_max = static_cast<std::uint32_t>(
              plan.windows_max - std::min<std::uint64_t>(plan.windows_max, elsewhere)),
          .closed_until_us = one.closed_until_us};
}

bool cuda_fold::submit(fold_job& job) {
  if (job_ != nullptr) return false;
  MILLRACE_CHECK(job.views.size() == places_.size(), "a part for each view");
  job_ = &job;
  for (std::size_t v = 0; v < places_.size(); ++v) {
    MILLRACE_CHECK(job.views[v].clocks.size() == job.runs.size(), "a clock for each run");
    job.views[v].counts = {};
    job.views[v].late.clear();
    if (places_[v].on_devices) parts_[places_[v].number] = &job.views[v];
  }
  const status begun = begin(job);
  failed_.reset();
  if (!begun.ok()) failed_.emplace(begun.failure());
  if (rest_ != nullptr) fold_rest(job);  // while the device is at work
  return true;
}

status cuda_fold::begin(fold_job& job) {
  folding_ = &device_for(job);
  MILLRACE_TRY(folding_->check_size(job));
  std::vector<view_room> rooms;
  for (std::size_t v = 0; v < views_.size(); ++v)
    rooms.push_back(room_for(v, *folding_));
  return on(*folding_, folding_->start(job, parts_, rooms));
}

void cuda_fold::fold_rest(fold_job& job) {
  for (std::size_t v = 0; v < places_.size(); ++v) {
    if (!places_[v].on_devices) rest_parts_[places_[v].number] = std::move(job.views[v]);
  }
  fold_job part{
      .runs = job.runs, .arrival_us = job.arrival_us, .device = nullptr, .views = rest_parts_};
  const bool taken = rest_->submit(part);
  const result<bool> done = rest_->poll(part);
  MILLRACE_CHECK(taken && done.ok() && *done, "the CPU folds at once");
  for (std::size_t v = 0; v < places_.size(); ++v) {
    if (!places_[v].on_devices) job.views[v] = std::move(rest_parts_[places_[v].number]);
  }
}

result<bool> cuda_fold::poll(fold_job& job) {
  if (job_ != &job) return false;
  if (failed_) {
    job_ = nullptr;
    return *failed_;
  }
  result<bool> done = folding_->finish(job, parts_);
  if (done.ok() && !*done) return false;
  job_ = nullptr;
  if (!done.ok()) {
    return std::move(done).failure().with_context("device " + std::to_string(folding_->device()));
  }
  return true;
}

result<std::unique_ptr<window_fold>> make_cuda_fold(std::vector<view_plan> plans,
                                                    const cuda_fold_options& options) {
  return cuda_fold::create(std::move(plans), options);
}

}  // namespace millrace
