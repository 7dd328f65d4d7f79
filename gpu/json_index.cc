#include "gpu/json_index.h"

namespace millrace {

json_index_function json_index_for(simd_level level) {
  switch (level) {
#if defined(__x86_64__)
    case simd_level::avx512:
      return json_detail::index_avx512;
    case simd_level::avx2:
      return json_detail::index_avx2;
#endif
    default:
      return nullptr;
  }
}

}  // namespace millrace
