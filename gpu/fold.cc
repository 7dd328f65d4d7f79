#include "gpu/fold.h"

#include <algorithm>
#include <thread>

#include "gpu/cuda_backend.h"
#include "gpu/cuda_fold.h"

namespace millrace {
namespace {

/// The CPU's, where a device was hoped for.
class instead_of_device final : public window_fold {
 public:
  instead_of_device(std::unique_ptr<window_fold> cpu, std::string why)
      : cpu_(std::move(cpu)), why_(std::move(why)) {}
  bool submit(fold_job& job) override { return cpu_->submit(job); }
  result<bool> poll(fold_job& job) override { return cpu_->poll(job); }
  status close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) override {
    return cpu_->close(view, watermark_us, out);
  }
  status read_open(std::uint32_t view, std::uint32_t rows_max, window_rows& out) override {
    return cpu_->read_open(view, rows_max, out);
  }
  fold_size size(std::uint32_t view) const override { return cpu_->size(view); }
  status snapshot(std::uint32_t view, std::vector<std::byte>& out) override {
    return cpu_->snapshot(view, out);
  }
  status restore(std::uint32_t view, byte_view snapshot) override {
    return cpu_->restore(view, snapshot);
  }
  std::string describe() const override { return cpu_->describe() + "; no CUDA: " + why_; }

 private:
  std::unique_ptr<window_fold> cpu_;
  std::string why_;
};

/// More than this many seldom have something to do at once: a view's records are folded one piece
/// after the other.
constexpr unsigned fold_threads_max = 8;

unsigned fold_threads() {
  return std::clamp(std::thread::hardware_concurrency(), 1u, fold_threads_max);
}

}  // namespace

result<std::unique_ptr<window_fold>> make_fold(std::string_view choice,
                                               std::vector<view_plan> plans) {
  if (choice != "cpu" && choice != "auto" && choice != "cuda") {
    return error(error_code::invalid_argument,
                 "backend '" + std::string(choice) + "': not one of auto, cpu, cuda");
  }
  if (choice == "cpu" || (choice == "auto" && !has_cuda_build())) {
    return make_cpu_fold_on(fold_threads(), std::move(plans));
  }
  auto device = make_cuda_fold(plans);
  if (device.ok()) return device;
  MILLRACE_ASSIGN(auto cpu, make_cpu_fold_on(fold_threads(), std::move(plans)));
  return std::unique_ptr<window_fold>(
      std::make_unique<instead_of_device>(std::move(cpu), device.failure().message()));
}

}  // namespace millrace
