#include "shards/segment.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/crc32c.h"
#include "base/endian.h"
#include "shards/aligned_buffer.h"

namespace millrace {
namespace {

using namespace log_format;

constexpr std::size_t name_digits = 20;
constexpr std::string_view segment_suffix = ".segment";

std::uint32_t crc_of(const void* structure, std::size_t bytes) {
  return crc32c({static_cast<const std::byte*>(structure), bytes});
}

std::optional<segment_header> parse_header(const std::byte* from, stream_id stream,
                                           segment_number number) {
  const auto header = load<segment_header>(from);
  if (header.magic != segment_magic || header.version != version || header.cipher != 0 ||
      header.crc != crc32c({from, offsetof(segment_header, crc)})) {
    return std::nullopt;
  }
  if (header.stream != stream.value || header.segment != number.value ||
      header.data_start < snapshot_offset || header.data_start % alignment != 0) {
    return std::nullopt;
  }
  return header;
}

}  // namespace

std::string segment_path(const std::string& directory, segment_number number) {
  std::string digits = std::to_string(number.value);
  digits.insert(0, name_digits - digits.size(), '0');
  return directory + "/" + digits + std::string(segment_suffix);
}

std::string index_path(const std::string& segment_path) {
  return segment_path.substr(0, segment_path.size() - segment_suffix.size()) + ".index";
}

std::optional<segment_number> parse_segment_name(const std::string& name) {
  if (name.size() != name_digits + segment_suffix.size() || !name.ends_with(segment_suffix)) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  const char* const end = name.data() + name_digits;
  const auto [stopped, failure] = std::from_chars(name.data(), end, number);
  if (failure != std::errc() || stopped != end || number == 0) return std::nullopt;
  return segment_number(number);
}

std::vector<std::byte> encode_snapshot(const log_state& state, std::uint64_t incarnation) {
  snapshot_header header{};
  header.magic = snapshot_magic;
  header.version = version;
  header.shard_count = static_cast<std::uint32_t>(state.next.size());
  header.producer_count = static_cast<std::uint32_t>(state.producers.size());
  header.payload_bytes = std::uint64_t{header.shard_count} * sizeof(snapshot_shard) +
                         std::uint64_t{header.producer_count} * sizeof(snapshot_producer);
  header.incarnation = incarnation;
  header.arrival_us = state.arrival_us;

  std::vector<std::byte> bytes(align_up(sizeof header + header.payload_bytes, alignment));
  std::byte* at = bytes.data() + sizeof header;
  for (const auto& [shard, next] : state.next) {
    store(at, snapshot_shard{next.value, shard.value, 0});
    at += sizeof(snapshot_shard);
  }
  state.producers.for_each([&](producer_id producer, const producer_state& known) {
    store(at, snapshot_producer{low_bits(producer.value), high_bits(producer.value),
                                known.next.value, known.active_us, known.epoch.value, 0});
    at += sizeof(snapshot_producer);
  });
  header.payload_crc = crc32c({bytes.data() + sizeof header, header.payload_bytes});
  header.crc = crc_of(&header, offsetof(snapshot_header, crc));
  store(bytes.data(), header);
  return bytes;
}

status read_snapshot(const file& from, std::uint64_t incarnation, std::uint64_t data_start,
                     log_state& state) {
  const auto damaged = [&](const char* why) {
    return error(error_code::corrupt, from.path() + ": snapshot: " + why);
  };
  if (data_start <= snapshot_offset) return damaged("it is not there");
  const aligned_memory memory = allocate_aligned(data_start - snapshot_offset);
  const mutable_byte_view bytes(memory.get(), data_start - snapshot_offset);
  MILLRACE_TRY(from.read_at(snapshot_offset, bytes));
  const auto header = load<snapshot_header>(bytes.data());
  if (header.magic != snapshot_magic || header.version != version ||
      header.crc != crc32c(bytes.first(offsetof(snapshot_header, crc)))) {
    return damaged("its header is damaged");
  }
  if (header.incarnation != incarnation) return damaged("it is of another file");
  if (header.payload_bytes !=
          std::uint64_t{header.shard_count} * sizeof(snapshot_shard) +
              std::uint64_t{header.producer_count} * sizeof(snapshot_producer) ||
      header.payload_bytes > bytes.size() - sizeof header ||
      header.payload_crc != crc32c(bytes.subspan(sizeof header, header.payload_bytes))) {
    return damaged("its checksum is wrong");
  }
  const std::byte* at = bytes.data() + sizeof header;
  for (std::uint32_t i = 0; i < header.shard_count; ++i, at += sizeof(snapshot_shard)) {
    const auto stored = load<snapshot_shard>(at);
    state.next[shard_index(stored.shard)] = record_index(stored.next_index);
  }
  for (std::uint32_t i = 0; i < header.producer_count; ++i, at += sizeof(snapshot_producer)) {
    const auto stored = load<snapshot_producer>(at);
    state.producers.restore(
        producer_id(make_uint128(stored.producer_high, stored.producer_low)),
        {epoch_number(stored.epoch), record_number(stored.next_record), stored.active_us});
  }
  state.arrival_us = std::max(state.arrival_us, header.arrival_us);
  return {};
}

std::vector<std::byte> encode_segment_header(const segment& one, stream_id stream,
                                             std::uint64_t created_us) {
  segment_header header{};
  header.magic = segment_magic;
  header.version = version;
  header.stream = stream.value;
  header.segment = one.number.value;
  header.incarnation = one.incarnation;
  header.created_us = created_us;
  header.predecessor = one.predecessor.value;
  header.predecessor_end = one.predecessor_end;
  header.data_start = one.data_start;
  header.crc = crc_of(&header, offsetof(segment_header, crc));
  std::vector<std::byte> page(segment_header_bytes);
  store(page.data(), header);
  store(page.data() + segment_header_copy_offset, header);
  return page;
}

result<found_header> read_segment_header(const file& from, stream_id stream,
                                         segment_number number) {
  const aligned_memory memory = allocate_aligned(segment_header_bytes);
  const mutable_byte_view page(memory.get(), segment_header_bytes);
  MILLRACE_TRY(from.read_at(0, page));
  const auto first = parse_header(page.data(), stream, number);
  const auto second = parse_header(page.data() + segment_header_copy_offset, stream, number);
  if (!first && !second) {
    return error(error_code::corrupt,
                 from.path() + ": both copies of the segment header are damaged");
  }
  return found_header{first ? *first : *second, !first || !second};
}

}  // namespace millrace
