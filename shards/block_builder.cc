#include "shards/block_builder.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/endian.h"

namespace millrace {
namespace {

using namespace log_format;

/// A run is checksummed in pieces of this size right after copying, while they are in the first
/// cache: then the sum costs next to nothing beside the copy.
constexpr std::uint32_t checksum_piece_bytes = 4 * 1024;
/// Records this far ahead are fetched while one is copied: with many shards they lie scattered over
/// more memory than the cache holds.
constexpr std::size_t prefetch_records = 12;
/// Up to here a loop of 16-byte moves beats a call of memcpy.
constexpr std::uint32_t short_record_bytes = 256;

std::uint32_t pending_entries(const record_batch& batch) {
  std::uint32_t count = 0;
  for (const batch_entry& entry : batch.entries)
    count += entry.result == outcome::pending ? 1 : 0;
  return count;
}

void prefetch(const record_ref& record) {
  __builtin_prefetch(record.bytes);
  // Further lines of a long record come by themselves once it is read in sequence.
  if (record.stride > 64) __builtin_prefetch(record.bytes + 64);
  if (record.stride > 64) __builtin_prefetch(record.bytes + std::min(record.stride, 192u) - 1);
}

/// Strides are multiples of 8.
void copy_record(const record_ref& record, std::byte* to) {
  if (record.stride > short_record_bytes) {
    std::memcpy(to, record.bytes, record.stride);
    return;
  }
  const std::byte* from = record.bytes;
  std::uint32_t rest = record.stride;
  for (; rest >= 16; rest -= 16, from += 16, to += 16)
    std::memcpy(to, from, 16);
  if (rest != 0) std::memcpy(to, from, 8);
}

/// Copies `count` records of `order` and returns the end of their bytes; `sum` becomes their
/// checksum.
std::byte* copy_run(std::span<const record_ref> order, std::size_t first, std::uint32_t count,
                    std::byte* to, std::uint32_t& sum) {
  std::byte* at = to;
  std::byte* unchecked = to;
  sum = 0;
  for (std::size_t i = first; i < first + count; ++i) {
    if (i + prefetch_records < order.size()) prefetch(order[i + prefetch_records]);
    const record_ref& record = order[i];
    copy_record(record, at);
    at += record.stride;
    if (static_cast<std::uint64_t>(at - unchecked) >= checksum_piece_bytes) {
      sum = crc32c({unchecked, at}, sum);
      unchecked = at;
    }
  }
  if (at != unchecked) sum = crc32c({unchecked, at}, sum);
  return at;
}

/// Encrypts the runs, each with room for its seal behind it. The checksum is of what is stored:
/// damage is found without the key.
void seal_runs(const record_batch& batch, run_sealer& sealer, stream_id stream,
               const block_layout& layout, std::byte* block) {
  auto* entry = reinterpret_cast<run_entry*>(block + sizeof(block_header));
  std::byte* at = block + layout.runs;
  for (const record_batch::shard_run& run : batch.runs) {
    sealer.seal({stream, run.shard, run.first, run.record_count}, {at, entry->bytes});
    entry->bytes += sizeof(run_seal);
    entry->cipher = cipher_aes_256_gcm;
    entry->crc = crc32c({at, entry->bytes});
    at += entry->bytes;
    ++entry;
  }
}

void copy_order_column(const record_batch& batch, std::byte* to) {
  const std::size_t count = batch.records.size();
  const std::uint16_t* const run = batch.run.data();
  if (order_width(static_cast<std::uint32_t>(batch.runs.size())) == 2) {
    if (count != 0) std::memcpy(to, run, count * 2);
    return;
  }
  auto* const narrow = reinterpret_cast<std::uint8_t*>(to);
  for (std::size_t i = 0; i < count; ++i)
    narrow[i] = static_cast<std::uint8_t>(run[i]);
}

void write_entries(const record_batch& batch, std::byte* to) {
  for (const batch_entry& entry : batch.entries) {
    if (entry.result != outcome::pending) continue;
    commit_entry stored{};
    if (entry.kind != entry_kind::raw) {
      stored.producer_low = low_bits(entry.producer.value);
      stored.producer_high = high_bits(entry.producer.value);
      stored.epoch = entry.epoch.value;
      stored.first_record =
          entry.kind == entry_kind::open ? entry.next_record.value : entry.first_record.value;
    }
    stored.record_count = entry.kind == entry_kind::open ? 0 : entry.record_count;
    store(to, stored);
    to += sizeof stored;
  }
}

}  // namespace

block_layout plan_block(const record_batch& batch, bool sealed) {
  const std::uint64_t seals = sealed ? batch.runs.size() * sizeof(run_seal) : 0;
  return layout_of(static_cast<std::uint32_t>(batch.runs.size()), batch.record_bytes + seals,
                   static_cast<std::uint32_t>(batch.records.size()), pending_entries(batch));
}

void build_block(const record_batch& batch, std::span<const record_ref> order,
                 const block_layout& layout, std::byte* to, run_sealer* sealer, stream_id stream) {
  MILLRACE_CHECK(order.size() == batch.records.size(), "every record has a place in the block");
  for (std::size_t i = 0; i < std::min(prefetch_records, order.size()); ++i) {
    prefetch(order[i]);
  }
  // The block is aligned, and so is its table.
  auto* entry = reinterpret_cast<run_entry*>(to + sizeof(block_header));
  std::byte* at = to + layout.runs;
  std::size_t first = 0;
  for (const record_batch::shard_run& run : batch.runs) {
    *entry = {};
    entry->first_index = run.first.value;
    entry->shard = run.shard.value;
    entry->created_s = run.created_s;
    entry->record_count = run.record_count;
    MILLRACE_CHECK(first + run.record_count <= order.size(), "runs hold more than the batch");
    std::byte* const end = copy_run(order, first, run.record_count, at, entry->crc);
    entry->bytes = static_cast<std::uint32_t>(end - at);
    ++entry;
    at = sealer != nullptr ? end + sizeof(run_seal) : end;
    first += run.record_count;
  }
  if (sealer != nullptr) seal_runs(batch, *sealer, stream, layout, to);
  MILLRACE_CHECK(first == order.size() && at == to + layout.order,
                 "record_bytes is the sum of the strides");

  copy_order_column(batch, at);
  const std::uint64_t order_end =
      layout.order +
      batch.records.size() * order_width(static_cast<std::uint32_t>(batch.runs.size()));
  std::memset(to + order_end, 0, layout.entries - order_end);
  write_entries(batch, to + layout.entries);
  const std::uint64_t trailer_end = layout.trailer + sizeof(commit_trailer);
  std::memset(to + trailer_end, 0, layout.block_bytes - trailer_end);

  block_header header{};
  header.magic = block_magic;
  header.version = version;
  header.order_width = order_width(static_cast<std::uint32_t>(batch.runs.size()));
  header.block_bytes = static_cast<std::uint32_t>(layout.block_bytes);
  header.record_count = static_cast<std::uint32_t>(batch.records.size());
  header.run_count = static_cast<std::uint32_t>(batch.runs.size());
  header.entry_count =
      static_cast<std::uint32_t>((layout.trailer - layout.entries) / sizeof(commit_entry));
  header.payload_bytes = static_cast<std::uint32_t>(layout.order - layout.runs);
  if (sealer != nullptr) {
    header.cipher = cipher_aes_256_gcm;
    header.key_id = sealer->key_id();
  }
  header.arrival_us = batch.arrival_us;
  store(to, header);
}

void seal_block(const block_place& place, std::byte* block) {
  auto header = load<block_header>(block);
  header.incarnation = place.incarnation;
  header.ordinal = place.ordinal;
  header.offset = place.offset;
  header.durable_mark = place.durable_mark;
  header.crc = crc32c({reinterpret_cast<const std::byte*>(&header), offsetof(block_header, crc)});
  store(block, header);

  const block_layout layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  commit_trailer trailer{trailer_magic, 0, header.ordinal};
  trailer.crc = crc32c({block, layout.runs});
  trailer.crc = crc32c({block + layout.order, block + layout.trailer}, trailer.crc);
  store(block + layout.trailer, trailer);
}

std::vector<std::byte> closing_block(const block_place& place, std::uint64_t arrival_us) {
  std::vector<std::byte> bytes(layout_of(0, 0, 0, 0).block_bytes);
  block_header header{};
  header.magic = block_magic;
  header.version = version;
  header.order_width = order_width(0);
  header.block_bytes = static_cast<std::uint32_t>(bytes.size());
  header.arrival_us = arrival_us;
  store(bytes.data(), header);
  seal_block(place, bytes.data());
  return bytes;
}

}  // namespace millrace
