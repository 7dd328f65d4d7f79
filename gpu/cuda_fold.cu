// The fold over all devices. A pane that is still open lies on the devices, each with a part of its
// groups; one that has ended takes no more records (0002-windows.md), comes to the host, where its
// parts become one, and goes out with its windows from there, by the code of the CPU's fold.
#include <algorithm>
#include <optional>
#include <set>

#include "base/check.h"
#include "gpu/cuda_check.cuh"
#include "gpu/cuda_fold.h"
#include "gpu/extract_pass.h"
#include "gpu/fetched_groups.h"
#include "gpu/fold_device.cuh"
#include "gpu/pane_store.h"
#include "gpu/window_math.h"

namespace millrace {
namespace {

/// What the host has of one view of panes.
struct host_view {
  explicit host_view(fold_program of) : program(std::move(of)), windows(make(program, budget)) {}
  static std::unique_ptr<pane_store> make(const fold_program& program, memory_budget& budget) {
    return std::make_unique<pane_store>(program, budget);
  }
  fold_program program;
  memory_budget budget = unlimited_budget();
  std::unique_ptr<pane_store> windows;  ///< panes that have ended
  std::int64_t closed_until_us = time_never;
};

/// An error of a device names it.
status on(const fold_device& device, status&& what) {
  if (what.ok()) return {};
  return std::move(what).failure().with_context("device " + std::to_string(device.device()));
}

class cuda_fold final : public window_fold {
 public:
  static result<std::unique_ptr<window_fold>> create(std::vector<view_plan> plans,
                                                     const cuda_fold_options& options);

  bool submit(fold_job& job) override;
  result<bool> poll(fold_job& job) override;
  status close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) override;
  status read_open(std::uint32_t view, std::uint32_t rows_max, window_rows& out) override;
  fold_size size(std::uint32_t view) const override;
  status snapshot(std::uint32_t view, std::vector<std::byte>& out) override;
  status restore(std::uint32_t view, byte_view snapshot) override;
  std::string describe() const override { return description_; }

 private:
  /// Where a view of the plans is folded.
  struct place {
    bool on_devices = false;
    std::uint32_t number = 0;  ///< there
  };
  status make_views(std::vector<view_plan> plans);
  status make_devices(const cuda_fold_options& options);
  fold_device& device_for(const fold_job& job);
  view_room room_for(std::size_t view, const fold_device& on) const;
  status begin(fold_job& job);
  void fold_rest(fold_job& job);
  /// Ended panes of a view come to the host.
  status bring_home(std::uint32_t view, std::int64_t watermark_us);
  status restore_panes(std::uint32_t view, byte_view snapshot);
  /// All of a view, as the CPU has it.
  status gather(std::uint32_t view, host_view& into) const;

  std::vector<place> places_;                      ///< by view of the plans
  std::vector<std::unique_ptr<host_view>> views_;  ///< that have panes
  std::vector<fold_pass> passes_;
  std::vector<fold_device> devices_;
  std::unique_ptr<window_fold> rest_;  ///< sessions; may be null
  std::vector<fold_job::view_part> rest_parts_;
  std::string description_;

  fold_job* job_ = nullptr;
  fold_device* folding_ = nullptr;
  std::vector<fold_job::view_part*> parts_;  ///< of the job, by view that has panes
  std::optional<error> failed_;              ///< to start it
  std::size_t next_ = 0;
};

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

// --- windows -------------------------------------------------------------------------------------

status cuda_fold::bring_home(std::uint32_t view, std::int64_t watermark_us) {
  host_view& one = *views_[view];
  const std::int64_t hop_us = one.program.plan.window.hop_us;
  for (fold_device& device : devices_) {
    device_state& state = device.state(view);
    const bool any = std::ranges::any_of(
        state.panes(), [&](std::int64_t start) { return start + hop_us <= watermark_us; });
    if (!any) continue;
    fetched_groups groups;
    MILLRACE_TRY(on(device, device.select()));
    MILLRACE_TRY(on(device, state.fetch(watermark_us, device.stage(), groups)));
    MILLRACE_TRY(on(device, state.drop(watermark_us, device.stage())));
    absorb(one.program, groups, *one.windows);
  }
  return {};
}

status cuda_fold::close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) {
  MILLRACE_CHECK(view < places_.size() && job_ == nullptr, "close of a view, no job in flight");
  const place at = places_[view];
  if (!at.on_devices) return rest_->close(at.number, watermark_us, out);
  if (watermark_us < -watermark_max_us) return {};
  const std::int64_t until_us = std::min(watermark_us, watermark_max_us);
  host_view& one = *views_[at.number];
  if (until_us <= one.closed_until_us) return {};
  MILLRACE_TRY(bring_home(at.number, until_us));
  one.windows->close(until_us, out);
  one.closed_until_us = until_us;
  return {};
}

status cuda_fold::gather(std::uint32_t view, host_view& into) const {
  const host_view& one = *views_[view];
  std::vector<std::byte> ended;
  one.windows->snapshot(ended);
  MILLRACE_ASSIGN(snapshot_reader reader, snapshot_reader::open(into.program, ended));
  MILLRACE_TRY(into.windows->restore(reader));
  for (const fold_device& device : devices_) {
    fetched_groups groups;
    MILLRACE_TRY(on(device, device.select()));
    MILLRACE_TRY(on(device, device.state(view).fetch(INT64_MAX, device.stage(), groups)));
    absorb(one.program, groups, *into.windows);
  }
  return {};
}

status cuda_fold::read_open(std::uint32_t view, std::uint32_t rows_max, window_rows& out) {
  MILLRACE_CHECK(view < places_.size() && job_ == nullptr, "read of a view, no job in flight");
  const place at = places_[view];
  if (!at.on_devices) return rest_->read_open(at.number, rows_max, out);
  host_view all(views_[at.number]->program);
  MILLRACE_TRY(gather(at.number, all));
  all.windows->read_open(rows_max, out);
  return {};
}

fold_size cuda_fold::size(std::uint32_t view) const {
  MILLRACE_CHECK(view < places_.size(), "size of a view");
  const place at = places_[view];
  if (!at.on_devices) return rest_->size(at.number);
  const host_view& one = *views_[at.number];
  fold_size all{
      .groups = one.budget.groups, .windows = one.windows->windows(), .bytes = one.budget.bytes};
  std::set<std::int64_t> panes;
  for (const fold_device& device : devices_) {
    const device_state& state = device.state(at.number);
    all.groups += state.now().groups;
    all.bytes += state.bytes();
    for (const std::int64_t start : state.panes()) {
      if (!one.windows->has_pane(start)) panes.insert(start);
    }
  }
  all.windows += panes.size();
  return all;
}

status cuda_fold::snapshot(std::uint32_t view, std::vector<std::byte>& out) {
  MILLRACE_CHECK(view < places_.size() && job_ == nullptr, "snapshot of a view, no job in flight");
  const place at = places_[view];
  if (!at.on_devices) return rest_->snapshot(at.number, out);
  host_view all(views_[at.number]->program);
  MILLRACE_TRY(gather(at.number, all));
  all.windows->snapshot(out);
  return {};
}

status cuda_fold::restore(std::uint32_t view, byte_view snapshot) {
  MILLRACE_CHECK(view < places_.size() && job_ == nullptr, "restore of a view, no job in flight");
  const place at = places_[view];
  if (!at.on_devices) return rest_->restore(at.number, snapshot);
  MILLRACE_CHECK(size(view).windows == 0, "restore into an empty view");
  status restored = restore_panes(at.number, snapshot);
  if (restored.ok()) return restored;
  return std::move(restored).failure().with_context(
      "view '" + views_[at.number]->program.plan.name + "': snapshot");
}

/// Panes that have ended stay on the host, the others go to a device.
status cuda_fold::restore_panes(std::uint32_t view, byte_view snapshot) {
  host_view& one = *views_[view];
  const fold_program& program = one.program;
  host_view whole(program);
  MILLRACE_ASSIGN(snapshot_reader checked, snapshot_reader::open(whole.program, snapshot));
  MILLRACE_TRY(whole.windows->restore(checked));
  if (whole.budget.groups > program.plan.groups_max) {
    return error(error_code::exhausted, "it does not fit within the view's limits");
  }
  MILLRACE_ASSIGN(snapshot_reader reader, snapshot_reader::open(program, snapshot));
  one.closed_until_us = reader.closed_until_us();
  std::vector<std::byte> nothing;
  snapshot_writer(program, one.closed_until_us, nothing).finish();
  MILLRACE_ASSIGN(snapshot_reader empty, snapshot_reader::open(program, nothing));
  MILLRACE_TRY(one.windows->restore(empty));
  fetched_groups open;
  snapshot_entry entry;
  for (std::uint64_t i = 0; i < reader.entries(); ++i) {
    MILLRACE_TRY(reader.next(entry));
    if (entry.end_us > one.closed_until_us) {
      append_group(program, entry, open);
      continue;
    }
    const padded_key key(entry.key);
    one.windows->absorb(entry.start_us, key.key(), key.hash(), entry.state.data(), entry.sketches);
  }
  fold_device& device = devices_[next_++ % devices_.size()];
  MILLRACE_TRY(on(device, device.select()));
  return on(device, device.state(view).load(open, device.stage()));
}

}  // namespace

result<std::unique_ptr<window_fold>> make_cuda_fold(std::vector<view_plan> plans,
                                                    const cuda_fold_options& options) {
  return cuda_fold::create(std::move(plans), options);
}

}  // namespace millrace
