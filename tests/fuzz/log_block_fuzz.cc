// Bytes as a segment's blocks: reading, resynchronising and recovering must not read outside them,
// and a block that is believed must hold what it says.
#include "base/crc32c.h"
#include "base/endian.h"
#include "shards/block_reader.h"
#include "shards/memory_file_system.h"
#include "shards/segment_scanner.h"

using namespace millrace;

namespace {

/// Makes checksums right where the input says so: else the fuzzer never gets behind them.
void mend(std::vector<std::byte>& bytes) {
  using namespace log_format;
  if (bytes.size() < alignment) return;
  auto header = load<block_header>(bytes.data());
  header.magic = block_magic;
  header.version = version;
  header.cipher = 0;
  header.offset = 0;
  const block_layout layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  if (layout.block_bytes > bytes.size()) return;
  header.block_bytes = static_cast<std::uint32_t>(layout.block_bytes);
  header.order_width = order_width(header.run_count);
  header.crc = crc32c({reinterpret_cast<const std::byte*>(&header), offsetof(block_header, crc)});
  store(bytes.data(), header);
  commit_trailer trailer{trailer_magic, 0, header.ordinal};
  trailer.crc = crc32c({bytes.data(), layout.runs});
  trailer.crc = crc32c({bytes.data() + layout.order, bytes.data() + layout.trailer}, trailer.crc);
  store(bytes.data() + layout.trailer, trailer);
}

void read_all(const block_meta& meta, byte_view block) {
  std::vector<stored_record> records;
  std::uint64_t at = meta.layout.runs;
  for (const log_format::run_entry& run : meta.runs) {
    std::uint64_t bytes_left = UINT64_MAX;
    const run_facts facts{.shard = shard_index(run.shard), .record_count = run.record_count};
    (void)parse_run(block.subspan(at, run.bytes), facts, record_index(0), SIZE_MAX, bytes_left,
                    records);
    at += run.bytes;
  }
  for (const stored_record& one : records) {
    if (one.record.data().size() + one.record.key().size() > block.size()) __builtin_trap();
  }
  for (std::uint32_t i = 0; i < meta.header.record_count; ++i) {
    if (meta.run_of(i) >= meta.runs.size()) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::vector<std::byte> bytes(align_up(size - 1, log_format::alignment));
  std::memcpy(bytes.data(), data + 1, size - 1);
  if ((data[0] & 1) != 0) mend(bytes);

  memory_file_system disk;
  disk.set_content("/d/a", bytes);
  const auto from = disk.open("/d/a", open_mode::read);
  if (!from.ok()) __builtin_trap();
  const scan_events events{
      [&](const block_meta& meta) {
        read_all(meta, byte_view(bytes).subspan(meta.header.offset, meta.header.block_bytes));
      },
      [&](const damage& one) {
        if (one.from >= one.to || one.to > bytes.size()) __builtin_trap();
      }};
  const auto header = parse_block_header(bytes);
  const std::uint64_t incarnation = header ? header->incarnation : 0;
  if (!scan_closed(**from, incarnation, 0, bytes.size(), events).ok()) __builtin_trap();
  const found_end found = *scan_newest(**from, incarnation, 0, events);
  if (found.end > bytes.size()) __builtin_trap();
  return 0;
}
