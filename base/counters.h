#pragma once
/// One table of counters and one of gauges feeds the atomics, the Prometheus text and the
/// documents. Each agent owns a `counter_set` that only its thread writes and any thread reads;
/// `counter_registry` adds them up.
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace millrace {

/// X(name, help). Prometheus names are millrace_<name>_total. Keep the groups together.
#define MILLRACE_COUNTERS(X)                                                                     \
  X(datagrams_received, "datagrams taken from a packet source")                                  \
  X(datagram_bytes_received, "bytes of those datagrams")                                         \
  X(datagrams_sent, "datagrams handed to a packet source")                                       \
  X(datagrams_send_failed, "datagrams a packet source would not take")                           \
  X(datagrams_damaged, "datagrams dropped: bad checksum, length, magic or version")              \
  X(datagrams_unauthenticated, "datagrams dropped: unknown key or bad authentication tag")       \
  X(datagrams_replayed, "datagrams dropped: packet number seen before or older than the window") \
  X(datagrams_unknown_session, "datagrams dropped: no such session")                             \
  X(datagrams_duplicate, "data datagrams that held no record not seen before")                   \
  X(datagrams_early, "data datagrams kept because an earlier record was missing")                \
  X(datagrams_dropped_no_room, "data datagrams dropped unacked: arena, batch or window full")    \
  X(handshakes_refused, "HELLO or OPEN datagrams refused")                                       \
  X(cookies_rejected, "OPEN datagrams with a forged or expired cookie")                          \
  X(resets_sent, "RESET datagrams sent")                                                         \
  X(naks_sent, "NAK datagrams sent")                                                             \
  X(acks_sent, "ACK datagrams sent")                                                             \
  X(results_deferred, "runs whose RESULTS found no room and are looked up in the log later")     \
  X(sessions_opened, "sessions opened")                                                          \
  X(sessions_closed, "sessions closed by their producer")                                        \
  X(sessions_expired, "sessions forgotten for silence")                                          \
  X(sessions_fenced, "sessions ended by a newer epoch of their producer")                        \
  X(records_received, "records released in order into batches")                                  \
  X(record_bytes_received, "bytes of those records, as stored")                                  \
  X(records_duplicate, "records dropped: their number was seen before")                          \
  X(records_malformed, "records refused: their bytes do not parse")                              \
  X(records_fenced, "records refused: a newer epoch of their producer exists")                   \
  X(records_refused, "records refused for any other reason")                                     \
  X(reassembly_bytes_copied, "bytes copied to reassemble large records")                         \
  X(decode_bytes_copied, "bytes copied to make records of raw datagrams")                        \
  X(raw_records_received, "records made of raw datagrams")                                       \
  X(raw_dropped_empty, "raw datagrams or lines dropped: empty")                                  \
  X(raw_dropped_key, "raw records dropped: no usable partition key")                             \
  X(raw_dropped_no_room, "raw records dropped: arena or pipeline full")                          \
  X(raw_dropped_storage, "raw records dropped: their batch was refused")                         \
  X(source_dropped, "packets lost before us, as the socket or port counts them")                 \
  X(source_stalled, "bursts not taken because no receive buffer was free")                       \
  X(batches_submitted, "batches handed to the pipeline")                                         \
  X(batches_committed, "batches durable in a log")                                               \
  X(batches_refused, "batches refused as a whole")                                               \
  X(records_routed, "records given their shard")                                                 \
  X(records_durable, "records durable (or written, with --ack written) in a log")                \
  X(record_bytes_durable, "bytes of those records")                                              \
  X(block_bytes_written, "bytes of log blocks, framing and padding included")                    \
  X(record_bytes_copied, "record bytes copied from slabs into blocks: one copy a record")        \
  X(flushes, "log writes completed")                                                             \
  X(flush_errors, "log writes or syncs that failed")                                             \
  X(blocks_rewritten, "blocks written anew into a fresh segment after a failure")                \
  X(segments_created, "segments started")                                                        \
  X(segments_deleted, "segments removed by retention or with their stream")                      \
  X(blocks_damaged, "damaged blocks met by recovery or a reader")                                \
  X(disk_bytes_read, "bytes read from segment files")                                            \
  X(record_bytes_read, "record bytes handed to readers")                                         \
  X(pipeline_stalls, "times a batch waited because every flush was in flight")                   \
  X(view_records_folded, "records that went into a window, over all views")                      \
  X(view_records_filtered, "records that a view's filter did not take")                          \
  X(view_records_late, "records below their shard's watermark: in no window")                    \
  X(view_records_no_time, "records whose time field is null: in no window")                      \
  X(view_records_future, "records too far ahead of their arrival to move a clock")               \
  X(view_records_left_out, "records for whose group or window a view had no room")               \
  X(view_records_missing, "records that retention or damage took before a view came to them")    \
  X(view_fields_null, "fields that were there with the wrong type")                              \
  X(view_emissions, "times that windows of a view closed")                                       \
  X(view_rows_closed, "rows of those windows")                                                   \
  X(view_row_bytes_dropped, "bytes of stored rows that had to go for newer ones")                \
  X(view_checkpoints, "checkpoints of views written")                                            \
  X(view_store_errors, "writes to a view's store that failed")                                   \
  X(view_differences, "emissions that, computed again, were not those in the store")             \
  X(view_backend_faults, "times that views lost their fold and went on on the CPU")              \
  X(http_signatures_refused, "requests whose signature or key was refused")                      \
  X(http_waits_refused, "GetRecords answered at once because too many wait for records")

/// X(name, help). Prometheus names are millrace_<name>.
#define MILLRACE_GAUGES(X)                                          \
  X(arena_bytes, "bytes of the arena")                              \
  X(receive_buffers, "receive buffers")                             \
  X(receive_buffers_free, "receive buffers not in use")             \
  X(sessions_open, "sessions open")                                 \
  X(reassemblies_open, "large records being reassembled")           \
  X(batches_in_flight, "batches between submission and completion") \
  X(durable_lag_us, "age of the oldest batch not yet durable")      \
  X(storage_faults, "streams that cannot be written now")           \
  X(segments, "segment files")                                      \
  X(log_bytes, "bytes of all segment files")                        \
  X(http_waiting_reads, "GetRecords calls that wait for records")   \
  X(http_subscriptions, "SubscribeToShard streams open")

enum class counter : std::uint16_t {
#define X(name, help) name,
  MILLRACE_COUNTERS(X)
#undef X
      count
};

enum class gauge : std::uint16_t {
#define X(name, help) name,
  MILLRACE_GAUGES(X)
#undef X
      count
};

struct metric_text {
  std::string_view name;
  std::string_view help;
};
metric_text text_of(counter c);
metric_text text_of(gauge g);

/// The counters of one agent. Written by one thread, read by any.
class counter_set {
 public:
  void add(counter c, std::uint64_t n = 1) noexcept {
    auto& cell = counters_[static_cast<std::size_t>(c)];
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(gauge g, std::uint64_t value) noexcept {
    gauges_[static_cast<std::size_t>(g)].store(value, std::memory_order_relaxed);
  }
  std::uint64_t get(counter c) const noexcept {
    return counters_[static_cast<std::size_t>(c)].load(std::memory_order_relaxed);
  }
  std::uint64_t get(gauge g) const noexcept {
    return gauges_[static_cast<std::size_t>(g)].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(counter::count)> counters_{};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(gauge::count)> gauges_{};
};

/// Adds up the sets of all agents. Thread-safe. Sets must outlive the registry's last read.
class counter_registry {
 public:
  void attach(const counter_set& set);
  std::uint64_t total(counter c) const;
  std::uint64_t total(gauge g) const;

 private:
  mutable std::mutex mutex_;
  std::vector<const counter_set*> sets_;
};

}  // namespace millrace
