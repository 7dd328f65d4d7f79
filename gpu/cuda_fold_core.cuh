#pragma once
/// The fold over all devices, in two files: cuda_fold.cu (making it, blocks) and
/// cuda_fold_windows.cu (windows, snapshots).
#include <optional>
#include <set>

#include "base/check.h"
#include "gpu/fetched_groups.h"
#include "gpu/fold_device.cuh"
#include "gpu/pane_store.h"
#include "gpu/window_math.h"

namespace millrace {

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
inline status on(const fold_device& device, status&& what) {
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
  status read_open(std::uint32_t view, const open_range& range, window_rows& out) override;
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

}  // namespace millrace
