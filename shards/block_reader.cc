#include "shards/block_reader.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/endian.h"

namespace millrace {

using namespace log_format;

std::uint32_t block_meta::run_of(std::uint32_t i) const {
  return header.order_width == 1 ? static_cast<std::uint32_t>(order[i])
                                 : load<std::uint16_t>(order.data() + std::size_t{i} * 2);
}

std::optional<block_header> parse_block_header(byte_view bytes) {
  if (bytes.size() < sizeof(block_header)) return std::nullopt;
  const auto header = load<block_header>(bytes.data());
  if (header.magic != block_magic || header.version != version ||
      header.cipher > cipher_aes_256_gcm) {
    return std::nullopt;
  }
  if (header.crc != crc32c(bytes.first(offsetof(block_header, crc)))) return std::nullopt;
  const block_layout layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  if (layout.block_bytes != header.block_bytes || header.block_bytes > block_bytes_max ||
      header.order_width != order_width(header.run_count) ||
      header.run_count > header.record_count) {
    return std::nullopt;
  }
  return header;
}

bool parse_block_meta(const block_header& header, byte_view front, byte_view back, block_meta& into,
                      const char*& why) {
  into.header = header;
  into.layout =
      layout_of(header.run_count, header.payload_bytes, header.record_count, header.entry_count);
  const std::uint64_t back_bytes = into.layout.trailer + sizeof(commit_trailer) - into.layout.order;
  why = "block is cut short";
  if (front.size() < into.layout.runs || back.size() < back_bytes) return false;

  const std::uint64_t covered = into.layout.trailer - into.layout.order;
  const auto trailer = load<commit_trailer>(back.data() + covered);
  why = "no commit trailer";
  if (trailer.magic != trailer_magic || trailer.ordinal != header.ordinal) return false;
  why = "checksum of run table, order and commit entries is wrong";
  if (trailer.crc != crc32c(back.first(covered), crc32c(front.first(into.layout.runs)))) {
    return false;
  }

  why = "run table contradicts the header";
  into.runs.resize(header.run_count);
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  for (std::uint32_t i = 0; i < header.run_count; ++i) {
    into.runs[i] =
        load<run_entry>(front.data() + sizeof(block_header) + std::size_t{i} * sizeof(run_entry));
    if (into.runs[i].cipher != header.cipher) return false;
    bytes += into.runs[i].bytes;
    records += into.runs[i].record_count;
  }
  if (bytes != header.payload_bytes || records != header.record_count) return false;

  into.order.assign(back.begin(), back.begin() + static_cast<std::ptrdiff_t>(into.layout.entries -
                                                                             into.layout.order));
  why = "order column names a run that is not there";
  for (std::uint32_t i = 0; i < header.record_count; ++i) {
    if (into.run_of(i) >= header.run_count) return false;
  }

  why = "commit entries contradict the header";
  into.entries.resize(header.entry_count);
  records = 0;
  const std::byte* at = back.data() + (into.layout.entries - into.layout.order);
  for (commit_entry& entry : into.entries) {
    entry = load<commit_entry>(at);
    at += sizeof entry;
    records += entry.record_count;
  }
  return records == header.record_count;
}

namespace {

/// The stride of the record at the start of `bytes`; 0 when they do not hold what it promises.
std::uint32_t whole_stride(byte_view bytes) {
  if (bytes.size() < sizeof(record_header)) return 0;
  const record_view record(bytes.data());
  const std::uint32_t stride = record.stride();
  const std::uint32_t least = sizeof(record_header) +
                              (record.has_hash_key() ? explicit_hash_key_bytes : 0) +
                              static_cast<std::uint32_t>(record.key().size());
  const bool whole =
      record.record_bytes() >= least && stride >= record.record_bytes() && stride <= bytes.size();
  return whole ? stride : 0;
}

}  // namespace

bool holds_records(byte_view bytes, std::uint32_t record_count) {
  for (std::uint32_t i = 0; i < record_count; ++i) {
    const std::uint32_t stride = whole_stride(bytes);
    if (stride == 0) return false;
    bytes = bytes.subspan(stride);
  }
  return bytes.empty();
}

bool parse_run(byte_view bytes, const run_facts& run, record_index from, std::size_t records_max,
               std::uint64_t& bytes_left, std::vector<stored_record>& records) {
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < run.record_count; ++i) {
    const std::uint32_t stride = whole_stride(bytes.subspan(at));
    if (stride == 0) return false;
    const record_view record(bytes.data() + at);
    const record_index index = run.first.next(i);
    if (index >= from) {
      if (records.size() >= records_max || (bytes_left == 0 && !records.empty())) return true;
      records.push_back({record, index, run.arrival_us, run.shard, run.is_encrypted});
      bytes_left -= std::min<std::uint64_t>(bytes_left, stride);
    }
    at += stride;
  }
  return at == bytes.size();
}

}  // namespace millrace
