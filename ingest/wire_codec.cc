#include "ingest/wire_codec.h"

#include "base/check.h"
#include "base/crc32c.h"

namespace millrace::wire {
namespace {

struct type_rule {
  std::uint32_t payload_bytes_min;
  bool is_exact;
  std::uint8_t flags;
};

/// By datagram_type. A payload that is no multiple of 8 is refused where records follow.
constexpr type_rule rules[] = {
    {},
    {sizeof(hello_payload), false, 0},
    {sizeof(cookie_payload), true, 0},
    {sizeof(open_payload), false, wants_results},
    {sizeof(open_ack_payload), true, 0},
    {16, false, ack_now},
    {sizeof(fragment_payload) + 1, false, ack_now},
    {sizeof(ack_payload), true, 0},
    {sizeof(nak_payload) + sizeof(nak_range), false, 0},
    {sizeof(heartbeat_payload), true, ack_now},
    {sizeof(results_payload), false, 0},
    {0, false, 0},
    {sizeof(probe_ack_payload), true, 0},
    {sizeof(reset_payload), true, 0},
    {0, true, 0},
};

/// The check that nearly every record passes, inlined: an ASCII key of up to 64 bytes and no
/// surprise in the header. Anything else is for check_record() to judge.
inline bool is_plainly_good(const std::byte* at, const record_header& header,
                            std::size_t available) {
  const std::size_t fixed =
      sizeof(record_header) + (header.flags != 0 ? explicit_hash_key_bytes : 0);
  if (header.flags > record_has_hash_key || header.reserved != 0 || header.key_bytes == 0 ||
      header.key_bytes > 64 || header.record_bytes > available ||
      header.record_bytes < fixed + header.key_bytes) {
    return false;
  }
  constexpr std::uint64_t high_bits_mask = 0x8080'8080'8080'8080u;
  const std::byte* key = at + fixed;
  const std::size_t bytes = header.key_bytes;
  std::uint64_t seen = 0;
  if (bytes >= 8) {
    for (std::size_t i = 0; i + 8 <= bytes; i += 8)
      seen |= load<std::uint64_t>(key + i);
    seen |= load<std::uint64_t>(key + bytes - 8);
  } else {
    // The header's 8 bytes lie before the key, so that the 8 bytes ending with it can be loaded.
    seen = load<std::uint64_t>(key + bytes - 8) >> (8 * (8 - bytes));
  }
  return (seen & high_bits_mask) == 0;
}

}  // namespace

std::string_view to_string(datagram_fault fault) {
  switch (fault) {
    case datagram_fault::none:
      return "no fault";
    case datagram_fault::too_short:
      return "too short";
    case datagram_fault::bad_magic:
      return "bad magic or version";
    case datagram_fault::bad_type:
      return "unknown type";
    case datagram_fault::bad_flags:
      return "unknown flags";
    case datagram_fault::bad_length:
      return "bad length";
    case datagram_fault::bad_checksum:
      return "bad checksum";
    case datagram_fault::bad_tag:
      return "bad authentication tag";
  }
  return "unknown fault";
}

datagram_fault parse_datagram(mutable_byte_view bytes, datagram& out) {
  if (bytes.size() < sizeof(datagram_header) + crc_bytes) return datagram_fault::too_short;
  out.header = load<datagram_header>(bytes.data());
  const datagram_header& header = out.header;
  if (header.magic != magic) return datagram_fault::bad_magic;
  if (header.type == 0 || header.type >= std::size(rules)) return datagram_fault::bad_type;
  const type_rule& rule = rules[header.type];
  if ((header.flags & ~rule.flags) != 0) return datagram_fault::bad_flags;
  const std::uint64_t trailer = header.key_id != 0 ? tag_bytes : crc_bytes;
  if (sizeof header + header.payload_bytes + trailer != bytes.size()) {
    return datagram_fault::bad_length;
  }
  if (header.payload_bytes < rule.payload_bytes_min ||
      (rule.is_exact && header.payload_bytes != rule.payload_bytes_min)) {
    return datagram_fault::bad_length;
  }
  const bool is_data = out.type() == datagram_type::data;
  if (is_data != (header.record_count != 0)) return datagram_fault::bad_length;
  if (is_data && header.payload_bytes % record_alignment != 0) return datagram_fault::bad_length;
  out.bytes = bytes;
  out.payload = bytes.subspan(sizeof header, header.payload_bytes);
  return datagram_fault::none;
}

datagram_fault verify_plain(const datagram& from) {
  if (from.header.key_id != 0) return datagram_fault::bad_checksum;
  const std::size_t covered = from.bytes.size() - crc_bytes;
  const auto expected = load<std::uint32_t>(from.bytes.data() + covered);
  return crc32c(from.bytes.first(covered)) == expected ? datagram_fault::none
                                                       : datagram_fault::bad_checksum;
}

datagram_fault verify_keyed(const datagram& from, const aead_key& key, aead_engine& engine) {
  if (from.header.key_id == 0) return datagram_fault::bad_tag;
  const bool opened =
      engine.open(key, from.header.packet_number, from.bytes.first(sizeof(datagram_header)),
                  from.payload, from.bytes.data() + from.bytes.size() - tag_bytes);
  return opened ? datagram_fault::none : datagram_fault::bad_tag;
}

std::uint32_t seal_datagram(std::byte* to, datagram_header header, const aead_key* key,
                            aead_engine* engine) {
  MILLRACE_CHECK((key != nullptr) == (header.key_id != 0), "key and key_id go together");
  header.magic = magic;
  store(to, header);
  const std::uint32_t covered = static_cast<std::uint32_t>(sizeof header) + header.payload_bytes;
  if (!key) {
    store(to + covered, crc32c(byte_view(to, covered)));
    return covered + crc_bytes;
  }
  engine->seal(*key, header.packet_number, byte_view(to, sizeof header),
               mutable_byte_view(to + sizeof header, header.payload_bytes), to + covered);
  return covered + tag_bytes;
}

split_outcome split_records(byte_view payload, std::uint32_t record_count,
                            std::span<record_ref> out) {
  split_outcome made;
  const std::byte* at = payload.data();
  std::size_t available = payload.size();
  if (record_count > out.size()) {
    made.fault = record_fault::truncated;
    return made;
  }
  for (std::uint32_t i = 0; i < record_count; ++i) {
    if (available < sizeof(record_header)) {
      made.fault = record_fault::truncated;
      return made;
    }
    const auto header = load<record_header>(at);
    if (!is_plainly_good(at, header, available)) {
      made.fault = check_record(byte_view(at, available));
      if (made.fault != record_fault::none) return made;
    }
    const auto stride = static_cast<std::uint32_t>(align_up(header.record_bytes, record_alignment));
    if (stride > available) {
      made.fault = record_fault::truncated;
      return made;
    }
    out[i] = {.bytes = at, .stride = stride, .key_bytes = header.key_bytes, .flags = header.flags};
    at += stride;
    available -= stride;
    made.record_bytes += stride;
    ++made.records;
  }
  if (available != 0) made.fault = record_fault::truncated;
  return made;
}

}  // namespace millrace::wire
