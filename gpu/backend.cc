#include "gpu/backend.h"

#include "gpu/cpu_backend.h"
#include "gpu/cuda_backend.h"

namespace millrace {
namespace {

/// The CPU, where a device was hoped for.
class instead_of_device final : public backend {
 public:
  instead_of_device(simd_level level, std::string why) : cpu_(level), why_(std::move(why)) {}
  bool submit(route_job& job) override { return cpu_.submit(job); }
  bool poll(route_job& job) override { return cpu_.poll(job); }
  std::string describe() const override { return cpu_.describe() + "; no CUDA: " + why_; }

 private:
  cpu_backend cpu_;
  std::string why_;
};

}  // namespace

result<std::unique_ptr<backend>> make_backend(std::string_view choice, byte_view record_memory) {
  if (choice != "auto" && choice != "cpu" && choice != "cuda") {
    return error(error_code::invalid_argument,
                 "backend '" + std::string(choice) + "': not one of auto, cpu, cuda");
  }
  MILLRACE_ASSIGN(const simd_level level, choose_simd());
  if (choice == "cpu" || (choice == "auto" && !has_cuda_build())) {
    return std::unique_ptr<backend>(std::make_unique<cpu_backend>(level));
  }
  cuda_options wanted;
  wanted.record_memory = record_memory;
  auto device = make_cuda_backend(wanted);
  if (device.ok()) return device;
  if (choice == "cuda") {
    return error(error_code::unsupported, device.failure().message())
        .with_context("backend 'cuda'");
  }
  return std::unique_ptr<backend>(
      std::make_unique<instead_of_device>(level, device.failure().message()));
}

}  // namespace millrace
