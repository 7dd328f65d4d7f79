#include "gpu/backend.h"

#include "gpu/cpu_backend.h"

namespace millrace {

result<std::unique_ptr<backend>> make_backend(std::string_view choice) {
  if (choice == "cuda") {
    return error(error_code::unsupported, "backend 'cuda': this build has no CUDA backend");
  }
  if (choice != "auto" && choice != "cpu") {
    return error(error_code::invalid_argument,
                 "backend '" + std::string(choice) + "': not one of auto, cpu, cuda");
  }
  MILLRACE_ASSIGN(const simd_level level, choose_simd());
  return std::unique_ptr<backend>(std::make_unique<cpu_backend>(level));
}

}  // namespace millrace
