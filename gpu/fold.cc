#include "gpu/fold.h"

namespace millrace {

result<std::unique_ptr<window_fold>> make_fold(std::string_view choice,
                                               std::vector<view_plan> plans) {
  // Windows are folded by the CPU whoever routes: there is no fold on a device yet.
  if (choice == "cpu" || choice == "auto" || choice == "cuda")
    return make_cpu_fold(std::move(plans));
  return error(error_code::invalid_argument,
               "backend '" + std::string(choice) + "': not one of auto, cpu, cuda");
}

}  // namespace millrace
