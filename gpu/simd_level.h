#pragma once
/// Which vector instructions the CPU backend uses. All levels give the same answers.
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace millrace {

enum class simd_level : std::uint8_t {
  scalar,
  avx2,
  avx512,  ///< F, BW and VL
};
std::string_view to_string(simd_level level);

/// True when this build and this CPU have the level.
bool has_simd(simd_level level);

/// The best level here, or the one that the environment variable MILLRACE_SIMD names: `unsupported`
/// when this CPU lacks it, `invalid_argument` when there is no such level.
result<simd_level> choose_simd();

}  // namespace millrace
