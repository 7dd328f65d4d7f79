#pragma once
/// The record protocol's constants and structures: see docs/wire_format.md. Little-endian; every
/// structure starts at a multiple of 8 from the start of its datagram. Do not change: clients
/// depend on every byte; a new meaning needs a new version.
///
///   datagram = datagram_header | payload (payload_bytes) | trailer
///   trailer  = CRC32C of all bytes before it (4 bytes), or, when the header's key_id is not 0,
///              the 16-byte AES-128-GCM tag (header as associated data, payload encrypted)
#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace millrace::wire {

inline constexpr std::uint32_t magic = 0x3152'4c4d;  ///< "MLR1" in memory order; 1 is the version
inline constexpr std::uint32_t crc_bytes = 4;
inline constexpr std::uint32_t tag_bytes = 16;

enum class datagram_type : std::uint8_t {
  hello = 1,      ///< client → server: padded to the size of the reply it asks for, or of a probe
  cookie = 2,     ///< server → client: never larger than the HELLO
  open = 3,       ///< client → server: cookie, stream, producer; padded like HELLO
  open_ack = 4,   ///< server → client: after the new epoch is durable
  data = 5,       ///< client → server: whole records
  fragment = 6,   ///< client → server: a piece of one large record
  ack = 7,        ///< server → client
  nak = 8,        ///< server → client: ranges of records that are missing
  heartbeat = 9,  ///< client → server: what has been sent, so that a lost tail is noticed
  results = 10,   ///< server → client: shard and index of each durable record, when asked for
  probe = 11,     ///< client → server: padded to the size being tried
  probe_ack = 12,  ///< server → client: the size that arrived; not padded
  reset = 13,      ///< either way: the session is over, and why
  close = 14,      ///< client → server: everything is acked; forget the session
};

enum datagram_flag : std::uint8_t {
  wants_results = 1,  ///< open: send RESULTS, and hold them until the client has them
  ack_now = 2,        ///< data, fragment, heartbeat: answer without waiting for company
};

struct datagram_header {
  std::uint32_t magic;         ///< wire::magic: other traffic on the port is told apart at once
  std::uint8_t type;           ///< datagram_type
  std::uint8_t flags;          ///< datagram_flag bits; unknown ones are refused
  std::uint16_t record_count;  ///< data: records in the payload; 0 in all other types
  std::uint64_t session;       ///< session_id; 0 before OPEN_ACK
  std::uint32_t session_slot;  ///< where the server keeps it, so that a lookup is one load
  std::uint32_t key_id;        ///< the configured key in use; 0: none, CRC32C only
  std::uint64_t
      packet_number;  ///< never reused within (session, direction): nonce and loss detection
  std::uint64_t first_record;   ///< data: number of the first record; fragment: of the record
  std::uint32_t payload_bytes;  ///< so that trailing bytes beyond the trailer are noticed
  std::uint32_t send_time_us;  ///< sender's clock, truncated; echoed in ACK for the round-trip time
};
static_assert(sizeof(datagram_header) == 48);
static_assert(offsetof(datagram_header, session) == 8);
static_assert(offsetof(datagram_header, session_slot) == 16);
static_assert(offsetof(datagram_header, packet_number) == 24);
static_assert(offsetof(datagram_header, first_record) == 32);
static_assert(offsetof(datagram_header, payload_bytes) == 40);
static_assert(offsetof(datagram_header, send_time_us) == 44);

/// HELLO. Followed by zero padding up to the datagram's size, so that no reply is larger.
struct hello_payload {
  std::uint64_t client_nonce;  ///< echoed in COOKIE: the answer belongs to this question
  std::uint64_t reserved;
};
static_assert(sizeof(hello_payload) == 16);

/// COOKIE. A MAC over (server secret, time, client address and port, client nonce); the server
/// keeps nothing for it.
struct cookie_payload {
  std::uint64_t client_nonce;
  std::uint64_t time_s;  ///< part of what the MAC covers: a cookie expires
  std::uint8_t mac[16];
};
static_assert(sizeof(cookie_payload) == 32);

inline constexpr std::uint32_t stream_name_bytes_max = 128;

/// OPEN. Followed by zero padding to at least the size of OPEN_ACK. The header's first_record is
/// the client nonce and its packet_number random: when keyed, both make the key of this OPEN. It is
/// sent again byte for byte.
struct open_payload {
  cookie_payload cookie;        ///< as the server gave it
  std::uint64_t producer_high;  ///< producer_id: random, kept by the client across reconnects
  std::uint64_t producer_low;
  std::uint32_t datagram_bytes_max;  ///< the largest datagram that the client can receive
  std::uint16_t stream_name_bytes;
  std::uint16_t reserved;
  char stream_name[stream_name_bytes_max];  ///< zero after stream_name_bytes
};
static_assert(sizeof(open_payload) == 184);

/// OPEN_ACK. The header carries the session id and slot for all that follows.
struct open_ack_payload {
  std::uint64_t client_nonce;
  std::uint64_t next_record;         ///< first record number that is not in the log
  std::uint64_t credit_limit;        ///< see ack_payload
  std::uint32_t epoch;               ///< durable before this is sent
  std::uint32_t datagram_bytes_max;  ///< the largest datagram that the server can receive
  std::uint32_t stream;              ///< stream_id
  std::uint32_t reserved;
};
static_assert(sizeof(open_ack_payload) == 40);

/// FRAGMENT: followed by the fragment's bytes of the record (record_format.h, without padding).
struct fragment_payload {
  std::uint32_t record_bytes;  ///< of the whole record, header included
  std::uint32_t offset;        ///< of this fragment; a multiple of 8
};
static_assert(sizeof(fragment_payload) == 8);

inline constexpr std::uint32_t ack_bitmap_words = 16;

enum ack_state : std::uint32_t {
  state_ok = 0,
  state_storage_blocked = 1,  ///< the log cannot be written now; keep what is unacked and wait
  state_closing = 2,          ///< the server is shutting down
};

/// ACK. Cumulative in records, selective in packets; losing one never matters.
struct ack_payload {
  std::uint64_t received_record;  ///< every record below this number is in the arena
  std::uint64_t durable_record;   ///< every record below this number is durable
  std::uint64_t
      credit_limit;  ///< absolute: record bytes (strides) since OPEN_ACK the client may send
  std::uint64_t largest_packet;  ///< largest packet number seen
  std::uint64_t results_record;  ///< RESULTS were sent for every record below this number
  std::uint32_t echo_time_us;    ///< send_time_us of the packet `largest_packet`
  std::uint32_t ack_delay_us;    ///< from its arrival to this ACK
  std::uint32_t state;           ///< ack_state
  std::uint32_t reserved;
  std::uint64_t
      packets[ack_bitmap_words];  ///< bit i of word w: largest_packet - (64 w + i) has arrived
};
static_assert(sizeof(ack_payload) == 56 + 8 * ack_bitmap_words);

inline constexpr std::uint32_t replay_window_packets = 64 * ack_bitmap_words;

/// NAK: followed by range_count of these. Records first..last (inclusive) are missing though later
/// ones have arrived.
struct nak_payload {
  std::uint32_t range_count;
  std::uint32_t reserved;
};
struct nak_range {
  std::uint64_t first_record;
  std::uint64_t last_record;
};
static_assert(sizeof(nak_payload) == 8 && sizeof(nak_range) == 16);
inline constexpr std::uint32_t nak_ranges_max = 32;

/// HEARTBEAT.
struct heartbeat_payload {
  std::uint64_t next_record;     ///< records below this have been sent at least once
  std::uint64_t results_record;  ///< the client has the results of all records below this
};
static_assert(sizeof(heartbeat_payload) == 16);

/// RESULTS, for records first_record .. first_record + record_count - 1 (first_record of the
/// header): followed by shard_count of result_shard, then record_count of u32: the record's index
/// less its shard's base_index, then record_count of u16: which result_shard. All of one batch. A
/// shard_count of 0: the server no longer knows where these records are, and nothing follows.
struct results_payload {
  std::uint32_t arrival_s;  ///< arrival second of the records: part of their sequence numbers
  std::uint16_t record_count;
  std::uint16_t shard_count;
};
struct result_shard {
  std::uint64_t base_index;  ///< record_index
  std::uint32_t shard;       ///< shard_index
  std::uint32_t created_s;   ///< creation second of the shard: part of its sequence numbers
};
static_assert(sizeof(results_payload) == 8 && sizeof(result_shard) == 16);

/// PROBE_ACK.
struct probe_ack_payload {
  std::uint32_t datagram_bytes;  ///< size of the PROBE that arrived
  std::uint32_t reserved;
};
static_assert(sizeof(probe_ack_payload) == 8);

enum class reset_reason : std::uint32_t {
  unknown_session = 1,
  fenced = 2,              ///< a newer OPEN of the same producer: do not reconnect
  malformed_record = 3,    ///< record number in `detail`: do not reconnect
  protocol_violation = 4,  ///< unknown flags, numbers out of range
  stream_not_found = 5,
  sessions_exhausted = 6,   ///< come back later
  storage_blocked = 7,      ///< the log cannot be written now: come back later
  shutting_down = 8,        ///< come back later
  not_permitted = 9,        ///< the key does not allow this stream, or a key is required
  reassembly_timeout = 10,  ///< a large record made no progress: come back
  idle = 11,
  producers_exhausted = 12,
};

/// RESET. Sent for an unknown session only at a limited rate, and never larger than its cause. When
/// it answers a HELLO or OPEN, the header's session is 0 and its first_record the client nonce.
struct reset_payload {
  std::uint32_t reason;
  std::uint32_t reserved;
  std::uint64_t detail;
};
static_assert(sizeof(reset_payload) == 16);

}  // namespace millrace::wire
