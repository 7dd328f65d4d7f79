#include "gpu/fold.h"

namespace millrace {

result<std::unique_ptr<window_fold>> make_fold(std::string_view choice,
                                               std::vector<view_plan> plans) {
  if (choice == "cpu" || choice == "auto") return make_cpu_fold(std::move(plans));
  if (choice == "cuda") {
    return error(error_code::unsupported, "backend 'cuda': this build has no CUDA backend");
  }
  return error(error_code::invalid_argument,
               "backend '" + std::string(choice) + "': not one of auto, cpu, cuda");
}

}  // namespace millrace
