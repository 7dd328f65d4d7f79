#pragma once
/// The x86 versions of what base64.cc does in bulk: whole blocks, without padding. What is left
/// over is the caller's. Call one only where the CPU has its instructions.
#include <cstddef>

#if defined(__x86_64__)
#define MILLRACE_BASE64_X86 1

namespace millrace::base64_x86 {

/// Both return how many of the `count` bytes, or characters, they took.
/// Decoding leaves the last characters, which may be padding; `good` becomes false where one is no
/// digit. It may write over what it has read, as decode_base64() does.
std::size_t encode_avx2(const std::byte* bytes, std::size_t count, char* to);
std::size_t decode_avx2(const char* text, std::size_t count, std::byte* to, bool& good);

/// AVX-512 with VBMI: 48 bytes, or 64 characters, in a few instructions.
std::size_t encode_avx512(const std::byte* bytes, std::size_t count, char* to);
std::size_t decode_avx512(const char* text, std::size_t count, std::byte* to, bool& good);

bool has_avx2();
bool has_avx512();

}  // namespace millrace::base64_x86
#endif
