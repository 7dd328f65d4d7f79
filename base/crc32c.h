#pragma once
/// CRC32C (Castagnoli, reflected polynomial 0x82f63b78), the checksum of every datagram, block
/// header and shard run. Uses SSE4.2 in three interleaved streams where the CPU has it, tables
/// elsewhere; both give the same value. Thread-safe.
#include "base/types.h"

namespace millrace {

/// The CRC32C of `bytes`, continuing from `seed`, the CRC32C of what came before (0: nothing).
/// crc32c of "123456789" is 0xe3069283.
std::uint32_t crc32c(byte_view bytes, std::uint32_t seed = 0);

/// The name of the implementation in use: "sse4.2" or "table".
const char* crc32c_implementation();

}  // namespace millrace
