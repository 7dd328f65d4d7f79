// A pane that is still open lies on the devices, each with a part of its groups; one that has ended
// takes no more records (0002-windows.md), comes to the host, where its parts become one, and goes
// out with its windows from there, by the code of the CPU's fold.
#include <algorithm>

#include "gpu/cuda_fold_core.cuh"

namespace millrace {

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

status cuda_fold::read_open(std::uint32_t view, const open_range& range, window_rows& out) {
  MILLRACE_CHECK(view < places_.size() && job_ == nullptr, "read of a view, no job in flight");
  const place at = places_[view];
  if (!at.on_devices) return rest_->read_open(at.number, range, out);
  host_view all(views_[at.number]->program);
  MILLRACE_TRY(gather(at.number, all));
  all.windows->read_open(range, out);
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
    one.windows->absorb(entry.start_us, key.key(), key.hash(program.secret), entry.state.data(),
                        entry.sketches);
  }
  fold_device& device = devices_[next_++ % devices_.size()];
  MILLRACE_TRY(on(device, device.select()));
  return on(device, device.state(view).load(open, device.stage()));
}

}  // namespace millrace
