// DATA and FRAGMENT: release in record order into batches, what waits for an earlier record, credit
// accounts.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ingest/record_server.h"

namespace millrace {
namespace {

/// Record numbers have room for any life; this keeps sums of them from wrapping.
constexpr std::uint64_t record_number_max = std::uint64_t{1} << 62;
/// After a datagram found no room, there is no point in asking for it at once.
constexpr std::uint64_t no_room_wait_us = 3'000;

}  // namespace

record_server::taken record_server::on_data(session& one, const wire::datagram& from,
                                            std::uint64_t buffer, std::uint64_t now_us) {
  const std::uint64_t first = from.header.first_record;
  const std::uint64_t end = first + from.header.record_count;
  if (first > record_number_max) {
    end_session(one, wire::reset_reason::protocol_violation, first);
    return taken::ended;
  }
  if (is_closing_) return taken::no_room;
  if (end <= one.next_record) {
    counters_.add(counter::datagrams_duplicate);
    counters_.add(counter::records_duplicate, from.header.record_count);
    ack_soon(one, now_us);  // its ack was lost, or crossed this
    return taken::done;
  }
  one.announced_record = std::max(one.announced_record, end);
  if (first > one.next_record) return keep_early(one, from, buffer, now_us);
  const taken outcome = release(one, first, from.payload, from.header.record_count, buffer, now_us);
  if (outcome == taken::held) {
    const double share =
        static_cast<double>(from.payload.size()) / static_cast<double>(from_buffer_bytes_);
    record_bytes_per_arena_byte_ += (std::min(share, 1.0) - record_bytes_per_arena_byte_) / 64;
    if (one.work) drain(one, now_us);
  } else if (outcome == taken::no_room) {
    note_gap(one, now_us, no_room_wait_us);
  }
  return outcome;
}

/// Splits a datagram's records, leaves out those that are known, and puts the rest into a batch.
record_server::taken record_server::release(session& one, std::uint64_t first_record,
                                            byte_view payload, std::uint16_t record_count,
                                            std::uint64_t buffer, std::uint64_t now_us) {
  const wire::split_outcome split = wire::split_records(payload, record_count, refs_);
  if (split.fault != record_fault::none) {
    counters_.add(counter::records_malformed);
    end_session(one, wire::reset_reason::malformed_record, first_record + split.records);
    return taken::ended;
  }
  const std::uint64_t known = one.next_record - first_record;
  std::uint64_t bytes = split.record_bytes;
  for (std::uint64_t i = 0; i < known; ++i)
    bytes -= refs_[i].stride;
  const std::span<const record_ref> fresh =
      std::span<const record_ref>(refs_).subspan(known, split.records - known);
  if (one.released_bytes + bytes > one.credit_limit) return taken::no_room;
  if (!append(one, fresh, bytes, buffer, now_us)) return taken::no_room;
  counters_.add(counter::records_duplicate, known);
  return taken::held;
}

bool record_server::append(session& one, std::span<const record_ref> records, std::uint64_t bytes,
                           std::uint64_t buffer, std::uint64_t now_us) {
  const run_owner owner{.kind = entry_kind::records,
                        .producer = one.producer,
                        .epoch = one.epoch,
                        .first_record = record_number(one.next_record),
                        .owner_tag = one.slot};
  if (!filler_.append(one.lane, owner, records, buffer, now_us)) return false;
  one.next_record += records.size();
  one.announced_record = std::max(one.announced_record, one.next_record);
  one.released_bytes += bytes;
  if (one.active_mark != active_mark_) {
    one.active_mark = active_mark_;
    ++active_count_;
  }
  if (one.work) {
    // Progress: the gap that was asked for is not the gap that is there now.
    one.work->nak_wait_us = 0;
    one.work->nak_sent_us = 0;
  }
  counters_.add(counter::records_received, records.size());
  counters_.add(counter::record_bytes_received, bytes);
  return true;
}

record_server::taken record_server::keep_early(session& one, const wire::datagram& from,
                                               std::uint64_t buffer, std::uint64_t now_us) {
  session_work& work = work_of(one);
  watch(one);
  note_gap(one, now_us, options_.nak_delay_us);
  const std::uint64_t first = from.header.first_record;
  const auto at = std::ranges::lower_bound(work.early, first, {}, &early_datagram::first_record);
  const std::uint64_t end = first + from.header.record_count;
  const bool is_known = (at != work.early.end() && at->first_record == first && at->end() >= end) ||
                        (at != work.early.begin() && (at - 1)->end() >= end);
  if (is_known) {
    counters_.add(counter::datagrams_duplicate);
    counters_.add(counter::records_duplicate, from.header.record_count);
    return taken::done;
  }
  const bool has_reserve =
      source_now_.buffers_free * 100 > source_now_.buffers * options_.reserve_percent;
  const std::uint64_t bytes = from.header.payload_bytes;
  if (!has_reserve || work.early.size() >= options_.early_datagrams_max ||
      one.released_bytes + work.early_bytes + bytes > one.credit_limit) {
    return taken::no_room;
  }
  // The source is asked for its free buffers twice a millisecond; between, we count along.
  if (source_now_.buffers_free > 0) --source_now_.buffers_free;
  work.early.insert(at, {.first_record = first,
                         .payload = from.payload.data(),
                         .buffer = buffer,
                         .payload_bytes = from.header.payload_bytes,
                         .record_count = from.header.record_count});
  work.early_bytes += bytes;
  counters_.add(counter::datagrams_early);
  return taken::held;
}

/// Releases what waited and can go now. False when the session ended over it.
bool record_server::drain(session& one, std::uint64_t now_us) {
  session_work& work = *one.work;
  std::size_t gone = 0;
  bool is_stopped = false;
  taken outcome = taken::done;
  while (!is_stopped) {
    if (work.large && work.large->is_complete() && work.large->record() == one.next_record) {
      outcome = release_large(one, now_us);
      if (outcome == taken::ended) return false;
      if (outcome == taken::no_room) is_stopped = true;
      continue;
    }
    if (gone == work.early.size() || work.early[gone].first_record > one.next_record) break;
    const early_datagram early = work.early[gone];
    if (early.end() <= one.next_record) {
      counters_.add(counter::records_duplicate, early.record_count);
      filler_.release(early.buffer);
    } else {
      outcome = release(one, early.first_record, byte_view(early.payload, early.payload_bytes),
                        early.record_count, early.buffer, now_us);
      if (outcome == taken::ended) return false;
      if (outcome == taken::no_room) break;
    }
    work.early[gone].buffer = early_datagram::given_away;
    work.early_bytes -= early.payload_bytes;
    ++gone;
  }
  work.early.erase(work.early.begin(), work.early.begin() + static_cast<std::ptrdiff_t>(gone));
  if (work.large && work.large->record() < one.next_record) {
    reassemblies_.discard(work.large);  // it came in another way
    work.large = nullptr;
  }
  if (gone > 0) ack_soon(one, now_us);
  if (one.announced_record <= one.next_record) work.nak_due_us = 0;
  return true;
}

record_server::taken record_server::on_fragment(session& one, const wire::datagram& from,
                                                std::uint64_t now_us) {
  const auto piece = from.as<wire::fragment_payload>();
  const byte_view bytes = from.payload.subspan(sizeof piece);
  const std::uint64_t record = from.header.first_record;
  const std::uint64_t end = std::uint64_t{piece.offset} + bytes.size();
  const bool is_well_formed =
      record <= record_number_max && piece.record_bytes > sizeof(record_header) &&
      piece.record_bytes <= limits::record_bytes_max && end <= piece.record_bytes &&
      piece.offset % 8 == 0 && (bytes.size() % 8 == 0 || end == piece.record_bytes);
  if (!is_well_formed) {
    end_session(one, wire::reset_reason::protocol_violation, record);
    return taken::ended;
  }
  if (is_closing_) return taken::no_room;
  if (record < one.next_record) {
    counters_.add(counter::datagrams_duplicate);
    ack_soon(one, now_us);
    return taken::done;
  }
  one.announced_record = std::max(one.announced_record, record + 1);
  session_work& work = work_of(one);
  watch(one);
  if (work.large && record > work.large->record()) return taken::no_room;  // one at a time
  if (work.large && record < work.large->record()) {
    // The earlier record must come first, or neither ever would.
    reassemblies_.discard(work.large);
    work.large = nullptr;
  }
  if (!work.large) {
    const std::uint64_t stride = align_up(piece.record_bytes, record_alignment);
    if (one.released_bytes + stride > one.credit_limit) return taken::no_room;
    work.large = reassemblies_.acquire();
    if (!work.large) return taken::no_room;
    work.large->begin(record, piece.record_bytes, now_us);
  }
  if (work.large->record_bytes() != piece.record_bytes) {
    end_session(one, wire::reset_reason::protocol_violation, record);
    return taken::ended;
  }
  switch (work.large->add(piece.offset, bytes, now_us)) {
    case reassembly::piece::duplicate:
      counters_.add(counter::datagrams_duplicate);
      return taken::done;
    case reassembly::piece::no_room:
      return taken::no_room;
    case reassembly::piece::taken:
      break;
  }
  counters_.add(counter::reassembly_bytes_copied, bytes.size());
  if (record > one.next_record) note_gap(one, now_us, options_.nak_delay_us);
  if (work.large->is_complete() && !drain(one, now_us)) return taken::ended;
  return taken::done;
}

/// Puts the completed large record, which is the next one, into a batch.
record_server::taken record_server::release_large(session& one, std::uint64_t now_us) {
  reassembly& large = *one.work->large;
  const byte_view bytes(large.data(), large.record_bytes());
  const auto header = load<record_header>(bytes.data());
  const bool is_good =
      header.record_bytes == large.record_bytes() && check_record(bytes) == record_fault::none;
  if (!is_good) {
    counters_.add(counter::records_malformed);
    end_session(one, wire::reset_reason::malformed_record, large.record());
    return taken::ended;
  }
  const auto stride = static_cast<std::uint32_t>(align_up(header.record_bytes, record_alignment));
  std::memset(large.data() + header.record_bytes, 0, stride - header.record_bytes);
  const record_ref ref{.bytes = bytes.data(),
                       .stride = stride,
                       .key_bytes = header.key_bytes,
                       .flags = header.flags};
  const std::uint64_t handle =
      batch_filler::buffer_handle(reassembly_owner_, reassemblies_.index_of(&large));
  if (one.released_bytes + stride > one.credit_limit ||
      !append(one, {&ref, 1}, stride, handle, now_us)) {
    return taken::no_room;
  }
  one.work->large = nullptr;
  ack_soon(one, now_us);
  return taken::done;
}

/// Something is missing: ask for it after `delay_us`, if it has not come by then.
void record_server::note_gap(session& one, std::uint64_t now_us, std::uint64_t delay_us) {
  session_work& work = work_of(one);
  watch(one);
  if (work.nak_due_us == 0) work.nak_due_us = now_us + delay_us;
}

void record_server::committed(session& one, const batch_entry& entry, std::uint64_t now_us) {
  one.durable_record = entry.first_record.value + entry.record_count;
  one.durable_bytes += entry.record_bytes;
  MILLRACE_CHECK(one.durable_record <= one.next_record && one.durable_bytes <= one.released_bytes,
                 "more became durable than was released");
  ack_soon(one, now_us);
}

}  // namespace millrace
