#pragma once
/// CRC32C (Castagnoli, reflected polynomial 0x82f63b78), the checksum of every datagram, block
/// header and shard run. Folds with AVX-512 or runs three interleaved SSE4.2 streams where the CPU
/// can, tables elsewhere; all give the same value. Thread-safe.
#include "base/types.h"

namespace millrace {

/// The CRC32C of `bytes`, continuing from `seed`, the CRC32C of what came before (0: nothing).
/// crc32c of "123456789" is 0xe3069283.
std::uint32_t crc32c(byte_view bytes, std::uint32_t seed = 0);

/// The name of the implementation in use: "avx512", "sse4.2" or "table". The environment variable
/// MILLRACE_CRC32C, read at first use, picks one of them if this CPU has it.
const char* crc32c_implementation();

/// One implementation, for tests and benchmarks. `state` is the complement of the CRC32C.
struct crc32c_version {
  const char* name;
  std::uint32_t (*update)(std::uint32_t state, const std::byte* bytes, std::size_t count);
};
/// Those that this CPU can run, the fastest first.
std::span<const crc32c_version> crc32c_versions();

}  // namespace millrace
