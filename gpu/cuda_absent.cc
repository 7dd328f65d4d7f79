// What a build without CUDA has in place of the .cu files.
#include "gpu/cuda_backend.h"
#include "gpu/cuda_fold.h"
#include "gpu/device_facts.h"

namespace millrace {
namespace {

error absent() {
  return {error_code::unsupported, "this build has no CUDA backend"};
}

}  // namespace

bool has_cuda_build() {
  return false;
}

result<std::unique_ptr<backend>> make_cuda_backend(const cuda_options&) {
  return absent();
}

result<std::unique_ptr<window_fold>> make_cuda_fold(std::vector<view_plan>,
                                                    const cuda_fold_options&) {
  return absent();
}

result<std::vector<device_facts>> read_devices() {
  return absent();
}

}  // namespace millrace
