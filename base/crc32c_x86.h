#pragma once
/// The x86 versions of CRC32C behind crc32c.h. `state` is the raw register (complemented outside).
/// Call one only where the CPU has its instructions.
#include "base/types.h"

#if defined(__x86_64__)
#define MILLRACE_CRC32C_X86 1

namespace millrace::crc32c_x86 {

/// SSE4.2 and PCLMULQDQ: three interleaved streams, because the crc32 instruction takes one operand
/// a cycle but three cycles to answer.
std::uint32_t sse42(std::uint32_t state, const std::byte* bytes, std::size_t count);

/// AVX-512 with VPCLMULQDQ: folds 256 bytes at a time; falls back to sse42() for short inputs.
std::uint32_t avx512(std::uint32_t state, const std::byte* bytes, std::size_t count);

bool has_sse42();
bool has_avx512();

}  // namespace millrace::crc32c_x86
#endif
