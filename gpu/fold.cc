#include "gpu/fold.h"

#include <algorithm>
#include <thread>

#include "gpu/cuda_backend.h"
#include "gpu/cuda_fold.h"

namespace millrace {
namespace {

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
  return make_cpu_fold_on(fold_threads(), std::move(plans),
                          "; no CUDA: " + device.failure().message());
}

}  // namespace millrace
