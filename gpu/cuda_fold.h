#pragma once
/// Folding on CUDA devices. This header needs no CUDA; a build without CUDA has these functions too
/// (cuda_absent.cc). docs/gpu_pipeline.md describes how.
#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "gpu/fold.h"

namespace millrace {

struct cuda_fold_options {
  std::uint32_t devices_max = 16;
  std::uint32_t block_bytes_max = limits::batch_bytes_max;
  std::uint32_t block_records_max = limits::batch_records_max;
};

/// Folds blocks on the devices of this machine in turns, each where routing has left its records if
/// it has; a view's parts come together when its windows close. Views of sessions are folded by the
/// CPU beside it. No driver, no device or no memory is an error; a device that fails later loses
/// the state, as window_fold has it.
result<std::unique_ptr<window_fold>> make_cuda_fold(std::vector<view_plan> plans,
                                                    const cuda_fold_options& options = {});

}  // namespace millrace
