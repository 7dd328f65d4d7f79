#pragma once
/// Makes blocks (log_format.h) out of batches. Here a record's bytes are copied, once.
#include <cstdint>
#include <span>
#include <vector>

#include "base/record_batch.h"
#include "shards/log_format.h"
#include "shards/run_cipher.h"

namespace millrace {

/// The layout of the block that `batch`, routed and admitted, will become: pending entries count.
/// With `sealed`, its runs will be encrypted.
log_format::block_layout plan_block(const record_batch& batch, bool sealed = false);

/// Writes all of the block but what seal_block() adds. `to` has plan_block(batch).block_bytes; the
/// batch's runs have their `first`. `order`: the batch's records in (run, rank) order. With a
/// `sealer` the runs are encrypted, for `stream`; a block is built once, however often it is sealed
/// and written.
void build_block(const record_batch& batch, std::span<const record_ref> order,
                 const log_format::block_layout& layout, std::byte* to,
                 run_sealer* sealer = nullptr, stream_id stream = {});

/// Where a block goes: what its bytes depend on beside its batch.
struct block_place {
  std::uint64_t incarnation = 0;
  std::uint64_t ordinal = 0;
  std::uint64_t offset = 0;
  std::uint64_t durable_mark = 0;
};

/// Fills in the place and both checksums. Again for another place when a block is written anew.
void seal_block(const block_place& place, std::byte* block);

/// A block without records: what a clean stop leaves behind the last one, for its durable mark.
std::vector<std::byte> closing_block(const block_place& place, std::uint64_t arrival_us);

}  // namespace millrace
