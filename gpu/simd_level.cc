#include "gpu/simd_level.h"

#include <cstdlib>
#include <string>

namespace millrace {

std::string_view to_string(simd_level level) {
  switch (level) {
    case simd_level::scalar:
      return "scalar";
    case simd_level::avx2:
      return "avx2";
    case simd_level::avx512:
      return "avx512";
  }
  return "unknown";
}

bool has_simd(simd_level level) {
  switch (level) {
    case simd_level::scalar:
      return true;
#if defined(__x86_64__)
    case simd_level::avx2:
      return __builtin_cpu_supports("avx2");
    case simd_level::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl");
#endif
    default:
      return false;
  }
}

result<simd_level> choose_simd() {
  const char* const forced = std::getenv("MILLRACE_SIMD");
  for (const simd_level level : {simd_level::avx512, simd_level::avx2, simd_level::scalar}) {
    if (forced == nullptr) {
      if (has_simd(level)) return level;
    } else if (to_string(level) == forced) {
      if (has_simd(level)) return level;
      return error(error_code::unsupported,
                   "MILLRACE_SIMD=" + std::string(forced) + ": this CPU does not have it");
    }
  }
  return error(error_code::invalid_argument, "MILLRACE_SIMD=" + std::string(forced ? forced : "") +
                                                 ": not one of scalar, avx2, avx512");
}

}  // namespace millrace
