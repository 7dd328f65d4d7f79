#pragma once
/// Every limit of the program, each with its reason. Nothing grows without one of these; what
/// happens at each is counted (counters.h) and answered to the client.
#include <cstdint>

namespace millrace::limits {

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;

// --- records ---------------------------------------------------------------------------------

/// Kinesis' own bound, so that every client's keys fit. Characters are Unicode code points.
inline constexpr std::uint32_t partition_key_chars_max = 256;
/// The same bound in bytes of UTF-8.
inline constexpr std::uint32_t partition_key_bytes_max = 4 * partition_key_chars_max;
/// Partition key and data of one record: Kinesis' 2025 limit.
inline constexpr std::uint32_t record_payload_bytes_max = 10 * mib;
/// A whole stored record: header, explicit hash key, partition key and data, padded.
inline constexpr std::uint32_t record_bytes_max = record_payload_bytes_max + 64;

// --- batches and blocks ----------------------------------------------------------------------

/// The largest shard map a stream may have open at once: Kinesis' quota, and a 16-bit ordinal.
inline constexpr std::uint32_t open_shards_max = 20'000;
/// A batch this large amortises a flush on any disk; smaller ones keep the block in the L2 cache.
inline constexpr std::uint32_t batch_bytes_default = 1 * mib;
/// With many shards a batch grows, so that one shard's run in it stays worth a disk read.
inline constexpr std::uint32_t batch_bytes_per_shard = 4 * kib;
/// No batch is planned larger; a single record of maximal size still fits in an empty batch.
inline constexpr std::uint32_t batch_bytes_max = 16 * mib;
/// Bounds the per-record arrays of a batch: the smallest useful record is about 24 bytes.
inline constexpr std::uint32_t batch_records_max = 128 * 1024;
/// Producer runs in one batch, so that its commit record stays small beside its data.
inline constexpr std::uint32_t batch_entries_max = 16 * 1024;
/// A batch waits no longer for company.
inline constexpr std::uint32_t batch_linger_us = 500;
/// Flushes in flight for one stream: enough to hide a disk's latency, few enough to bound memory.
inline constexpr std::uint32_t flushes_in_flight_max = 4;

// --- datagrams and sessions ------------------------------------------------------------------

/// The largest UDP payload over IPv4; what a 64 KiB receive buffer holds.
inline constexpr std::uint32_t datagram_bytes_max = 65'507;
/// Every path carries this (IPv6's minimum MTU less its headers); what a session starts with.
inline constexpr std::uint32_t datagram_bytes_min = 1'232;
/// Packets taken from a source in one burst.
inline constexpr std::uint32_t burst_packets_max = 64;
/// Sessions of one door. An idle one costs under 1 KiB.
inline constexpr std::uint32_t sessions_max = 256 * 1024;
/// A session that sends nothing, not even a heartbeat, for this long is forgotten.
inline constexpr std::uint64_t session_idle_us = 30'000'000;
/// Records may run ahead of the one that is missing by this many datagrams in one session.
inline constexpr std::uint32_t early_datagrams_max = 1024;
/// Large records under reassembly at one door. Each needs a whole buffer.
inline constexpr std::uint32_t reassemblies_max = 4;
/// Credit of one session, in record bytes beyond what is durable.
inline constexpr std::uint64_t session_credit_bytes_max = 32 * mib;

// --- stored state ----------------------------------------------------------------------------

/// Bytes of a segment file before the next one is started.
inline constexpr std::uint64_t segment_bytes_default = 1024 * mib;
/// Runs of one segment: bounds the index of the open one in memory. A segment of tiny blocks is
/// closed early.
inline constexpr std::uint32_t segment_runs_max = 512 * 1024;
/// Blocks looked at, newest first, for results that a producer never got.
inline constexpr std::uint32_t results_blocks_max = 4096;
/// A log that cannot be written tries again this often.
inline constexpr std::uint64_t blocked_retry_us = 250'000;
/// Producers remembered for each stream, the longest-silent forgotten first.
inline constexpr std::uint32_t producers_max = 1024 * 1024;
/// A producer silent for this long may be forgotten: the stated period of exactly-once.
inline constexpr std::uint64_t dedup_period_us = 7ull * 24 * 3600 * 1'000'000;
/// Kinesis' bounds for retention by time, in hours.
inline constexpr std::uint32_t retention_hours_min = 24;
inline constexpr std::uint32_t retention_hours_max = 8760;
/// Streams of one data directory.
inline constexpr std::uint32_t streams_max = 10'000;
/// Stream names: 1 to 128 of [a-zA-Z0-9_.-], as Kinesis has them.
inline constexpr std::uint32_t stream_name_chars_max = 128;

// --- views -----------------------------------------------------------------------------------

/// Views of one appliance: each costs a pass over its stream's records.
inline constexpr std::uint32_t views_max = 64;
/// Fields that one pass over a record looks for, over all views of a stream.
inline constexpr std::uint32_t extract_fields_max = 64;
/// A path into JSON documents.
inline constexpr std::uint32_t json_path_bytes_max = 1024;
/// CSV columns are counted up to the last one that is wanted.
inline constexpr std::uint32_t csv_columns_max = 64 * 1024;
/// An encoded group key. A record with a longer one is counted and left out.
inline constexpr std::uint32_t group_key_bytes_max = 1024;
/// Late records of one block that are kept; all are counted.
inline constexpr std::uint32_t late_records_max = 1024;
/// Late records that a view keeps, the newest ones.
inline constexpr std::uint32_t late_records_kept = 100'000;
/// Rows of a view that went out last, kept in memory for those who wait for them.
inline constexpr std::uint64_t view_feed_bytes_max = 64 * mib;
/// Newest blocks of a stream with views that stay in memory: a fifth of a second at full rate, so
/// that a view that was held up for a moment need not read them from the disk, which is then the
/// slower the more is written.
inline constexpr std::uint64_t view_hot_tail_bytes = 256 * mib;
/// Rows that are collected before they are written, while a view has much to catch up with.
inline constexpr std::uint64_t view_pending_bytes_max = 16 * mib;

// --- relations -------------------------------------------------------------------------------

static_assert(record_bytes_max < batch_bytes_max, "every record fits in some batch");
static_assert(batch_bytes_default <= batch_bytes_max);
static_assert(datagram_bytes_min < datagram_bytes_max);
static_assert(extract_fields_max <= 64, "a set of fields is a word's bits");
static_assert(open_shards_max <= 65'535, "a shard ordinal has 16 bits");

}  // namespace millrace::limits
