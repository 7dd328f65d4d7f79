#pragma once
/// Datagrams of the record protocol in bytes: parsed and verified, built and sealed. Used by the
/// server and by the producer library, so that there is one opinion about every byte.
#include <cstring>
#include <span>
#include <string_view>

#include "base/endian.h"
#include "base/record_batch.h"
#include "ingest/aead.h"
#include "ingest/wire_format.h"

namespace millrace::wire {

enum class datagram_fault : std::uint8_t {
  none,
  too_short,     ///< not even a header and a trailer
  bad_magic,     ///< other traffic, or another version
  bad_type,      ///< unknown
  bad_flags,     ///< unknown, or not of this type
  bad_length,    ///< payload_bytes does not fit the datagram, or the payload not its type
  bad_checksum,  ///< CRC32C
  bad_tag,       ///< AES-128-GCM: forged, damaged, or another key
};
std::string_view to_string(datagram_fault fault);

/// A datagram split into its parts. Views into the caller's bytes.
struct datagram {
  datagram_header header{};
  mutable_byte_view bytes;    ///< header, payload and trailer
  mutable_byte_view payload;  ///< header.payload_bytes; plain once verified

  datagram_type type() const { return static_cast<datagram_type>(header.type); }
  /// The payload's fixed part; parse_datagram() has checked that it is there.
  template <class Payload>
  Payload as() const {
    return load<Payload>(payload.data());
  }
};

/// Splits `bytes` and checks all that can be checked without a key or a checksum: lengths, magic,
/// type, flags, the payload's size for its type. Trust nothing of it before a verify says `none`.
/// Hostile input is expected.
datagram_fault parse_datagram(mutable_byte_view bytes, datagram& out);

/// Checks the CRC32C of a datagram whose key_id is 0.
datagram_fault verify_plain(const datagram& from);
/// Checks the tag of a datagram whose key_id is not 0 and decrypts its payload in place. After a
/// fault the payload is garbage.
datagram_fault verify_keyed(const datagram& from, const aead_key& key, aead_engine& engine);

/// Bytes of a whole datagram around a payload.
inline constexpr std::uint32_t datagram_bytes(std::uint32_t payload_bytes, bool is_keyed) {
  return static_cast<std::uint32_t>(sizeof(datagram_header)) + payload_bytes +
         (is_keyed ? tag_bytes : crc_bytes);
}
/// The payload that a datagram of `bytes` has room for.
inline constexpr std::uint32_t payload_bytes_max(std::uint32_t bytes, bool is_keyed) {
  return bytes - datagram_bytes(0, is_keyed);
}

/// Finishes a datagram at `to`, whose payload (header.payload_bytes) is already in place behind the
/// room for the header: writes the header (magic filled in) and the trailer. A null `key` seals by
/// CRC32C, and header.key_id must be 0. Returns the datagram's bytes.
std::uint32_t seal_datagram(std::byte* to, datagram_header header, const aead_key* key,
                            aead_engine* engine);

/// The same for a payload that is one structure, and `padding` zeros behind it.
template <class Payload>
std::uint32_t seal_datagram(std::byte* to, datagram_header header, const Payload& payload,
                            const aead_key* key, aead_engine* engine, std::uint32_t padding = 0) {
  store(to + sizeof header, payload);
  if (padding > 0) std::memset(to + sizeof header + sizeof payload, 0, padding);
  header.payload_bytes = static_cast<std::uint32_t>(sizeof payload) + padding;
  return seal_datagram(to, header, key, engine);
}

/// The most records that one DATA datagram can hold: what split_records() needs room for.
inline constexpr std::uint32_t data_records_max = 65'536 / 16;

struct split_outcome {
  record_fault fault = record_fault::none;
  std::uint32_t records = 0;       ///< good ones before the fault, or all
  std::uint64_t record_bytes = 0;  ///< sum of their strides
};
/// Checks a DATA payload's records and makes references to them. The payload must consist of
/// exactly `record_count` records, each padded; `out` has room for them.
split_outcome split_records(byte_view payload, std::uint32_t record_count,
                            std::span<record_ref> out);

}  // namespace millrace::wire
