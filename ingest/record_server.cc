#include "ingest/record_server.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::uint64_t watch_period_us = 500;
constexpr std::uint64_t sweep_period_us = 20'000;
constexpr std::uint64_t sweeps_per_round = 50;  ///< the whole table is looked at once a second
constexpr std::uint64_t activity_period_us = 100'000;
constexpr std::size_t spare_work_max = 1024;
constexpr std::size_t queries_max = 16;

}  // namespace

record_server::record_server(const record_server_parts& parts, const record_server_options& options)
    : sink_(parts.sink),
      filler_(parts.filler),
      source_(parts.source),
      reassemblies_(parts.reassemblies),
      cookies_(parts.cookies),
      counters_(parts.counters),
      lookup_(parts.lookup),
      forwarder_(parts.forwarder),
      wake_(parts.wake),
      options_(options),
      outbox_(parts.source, parts.counters),
      table_(options.sessions_max),
      refs_(wire::data_records_max),
      answers_(queries_max) {
  reassembly_owner_ = filler_.register_owner(reassemblies_);
  filler_.register_observer(*this);
  read_source();
}

record_server::~record_server() = default;

void record_server::read_source() {
  source_now_ = source_.counters();
}

bool record_server::handle(const received_packet& packet, std::uint64_t buffer,
                           std::uint64_t now_us) {
  counters_.add(counter::datagrams_received);
  counters_.add(counter::datagram_bytes_received, packet.bytes.size());
  wire::datagram from;
  if (wire::parse_datagram(packet.bytes, from) != wire::datagram_fault::none) {
    counters_.add(counter::datagrams_damaged);
    return false;
  }
  switch (from.type()) {
    case wire::datagram_type::hello:
      on_hello(from, packet, now_us);
      return false;
    case wire::datagram_type::open:
      on_open(from, packet, now_us);
      return false;
    case wire::datagram_type::data:
    case wire::datagram_type::fragment:
    case wire::datagram_type::heartbeat:
    case wire::datagram_type::probe:
    case wire::datagram_type::close:
    case wire::datagram_type::reset:
      return handle_session(from, packet, buffer, now_us);
    default:  // what only servers send
      counters_.add(counter::datagrams_damaged);
      return false;
  }
}

bool record_server::handle_session(wire::datagram& from, const received_packet& packet,
                                   std::uint64_t buffer, std::uint64_t now_us) {
  const std::uint32_t door = from.header.session_slot >> 24;
  if (door != options_.door && forwarder_) {
    // The path has changed under the client. The right door checks it, as it would its own.
    const auto outcome = forwarder_->forward(door, packet);
    if (outcome == packet_forwarder::outcome::full) {
      counters_.add(counter::datagrams_dropped_no_room);
    }
    if (outcome != packet_forwarder::outcome::no_door) return false;
  }
  session* one = door == options_.door ? table_.find(from.header.session_slot & 0xff'ffffu,
                                                     session_id(from.header.session))
                                       : nullptr;
  if (!one || one->state != session_state::open) {
    reset_unknown(from, packet, now_us);
    return false;
  }
  // Nothing is changed before the checksum or the tag is known to be good.
  if (from.header.key_id != one->key_id) {
    counters_.add(counter::datagrams_unauthenticated);
    return false;
  }
  if (one->key_id == 0) {
    if (wire::verify_plain(from) != wire::datagram_fault::none) {
      counters_.add(counter::datagrams_damaged);
      return false;
    }
  } else if (wire::verify_keyed(from, one->keys.to_server, engine_) != wire::datagram_fault::none) {
    counters_.add(counter::datagrams_unauthenticated);
    return false;
  }
  if (!one->packets.is_new(from.header.packet_number)) {
    counters_.add(counter::datagrams_replayed);
    return false;
  }
  table_.touch(*one, now_us);
  if (!(one->peer == packet.from)) one->peer = packet.from;
  one->listener = packet.listener;
  one->has_spoken = true;
  from_buffer_bytes_ = std::max<std::uint32_t>(packet.buffer_bytes, 1);
  return dispatch(*one, from, buffer, now_us);
}

bool record_server::dispatch(session& one, const wire::datagram& from, std::uint64_t buffer,
                             std::uint64_t now_us) {
  taken outcome = taken::done;
  switch (from.type()) {
    case wire::datagram_type::data:
      outcome = on_data(one, from, buffer, now_us);
      break;
    case wire::datagram_type::fragment:
      outcome = on_fragment(one, from, now_us);
      break;
    case wire::datagram_type::heartbeat:
      note_packet(one, from, now_us);
      on_heartbeat(one, from, now_us);
      return false;
    case wire::datagram_type::probe: {
      note_packet(one, from, now_us);
      const wire::probe_ack_payload ack{
          .datagram_bytes = static_cast<std::uint32_t>(from.bytes.size()), .reserved = 0};
      reply(one, wire::datagram_type::probe_ack, ack);
      return false;
    }
    default:  // close, or a reset by the client: either way it wants no more
      counters_.add(counter::sessions_closed);
      drop(one);
      return false;
  }
  if (outcome == taken::no_room) counters_.add(counter::datagrams_dropped_no_room);
  // What had no room is not marked: the client sees that it did not arrive, and sends it again.
  const bool is_taken = outcome == taken::held || outcome == taken::done;
  if (is_taken && one.state == session_state::open) note_packet(one, from, now_us);
  return outcome == taken::held;
}

void record_server::note_packet(session& one, const wire::datagram& from, std::uint64_t now_us) {
  const std::uint64_t number = from.header.packet_number;
  const bool is_newest = !one.packets.any() || number > one.packets.largest();
  one.packets.mark(number);
  if (is_newest) {
    one.echo_time_us = from.header.send_time_us;
    one.echo_arrival_us = now_us;
  }
  ++one.packets_unacked;
  const bool now = (from.header.flags & wire::ack_now) != 0 || one.packets_unacked >= 32;
  ack_soon(one, now ? now_us : now_us + options_.ack_delay_us);
}

void record_server::on_heartbeat(session& one, const wire::datagram& from, std::uint64_t now_us) {
  const auto beat = from.as<wire::heartbeat_payload>();
  one.announced_record = std::max(one.announced_record, beat.next_record);
  if (one.announced_record > one.next_record) note_gap(one, now_us, options_.nak_delay_us);
  if (one.wants_results) client_has_results(one, beat.results_record, now_us);
  ack_soon(one, now_us);
}

session_work& record_server::work_of(session& one) {
  if (!one.work) {
    if (spare_work_.empty()) {
      one.work = std::make_unique<session_work>();
    } else {
      one.work = std::move(spare_work_.back());
      spare_work_.pop_back();
    }
  }
  return *one.work;
}

/// Gives the work area back when nothing is outstanding: an idle session is small again.
void record_server::rest(session& one) {
  if (!one.work || !one.work->is_idle()) return;
  one.work->nak_wait_us = 0;
  one.work->nak_sent_us = 0;
  one.work->results_sent = 0;
  one.work->results_retry_us = 0;
  one.work->results_wait_us = 0;
  if (spare_work_.size() < spare_work_max) {
    spare_work_.push_back(std::move(one.work));
  } else {
    one.work.reset();
  }
}

void record_server::watch(session& one) {
  if (one.is_watched) return;
  one.is_watched = true;
  watch_list_.push_back(one.slot);
}

void record_server::drop(session& one) {
  if (one.work) {
    for (const early_datagram& early : one.work->early) {
      if (early.buffer != early_datagram::given_away) filler_.release(early.buffer);
    }
    one.work->early.clear();
    one.work->early_bytes = 0;
    if (one.work->large) reassemblies_.discard(one.work->large);
    one.work->large = nullptr;
    spare_chunks_.insert(spare_chunks_.end(), one.work->results.begin(), one.work->results.end());
    one.work->results.clear();
    one.work->nak_due_us = 0;
    one.work->lookup_pending = false;
    rest(one);
  }
  const auto found = by_producer_.find({one.producer, one.lane.value});
  if (found != by_producer_.end() && found->second == one.slot) by_producer_.erase(found);
  table_.free(one);
}

void record_server::watch_sessions(std::uint64_t now_us) {
  for (std::size_t i = watch_list_.size(); i-- > 0;) {
    session* one = table_.at(watch_list_[i]);
    bool keep = false;
    if (one && one->is_watched && one->work) {
      session_work& work = *one->work;
      const bool is_stuck =
          work.large && now_us - work.large->progress_us() >= options_.reassembly_idle_us;
      if (is_stuck) {
        end_session(*one, wire::reset_reason::reassembly_timeout, work.large->record());
      } else if (drain(*one, now_us)) {
        if (work.nak_due_us != 0 && now_us >= work.nak_due_us) send_nak(*one, now_us);
        rest(*one);
        keep = one->work != nullptr;
      }
      if (!keep && one->state != session_state::free) one->is_watched = false;
    }
    if (!keep) {
      watch_list_[i] = watch_list_.back();
      watch_list_.pop_back();
    }
  }
}

int record_server::do_work(std::uint64_t now_us) {
  int done = 0;
  if (has_answers()) {
    take_answers(now_us);
    ++done;
  }
  if (now_us >= next_watch_us_) {
    next_watch_us_ = now_us + watch_period_us;
    read_source();
    watch_sessions(now_us);
  }
  if (now_us >= next_sweep_us_) {
    next_sweep_us_ = now_us + sweep_period_us;
    const auto slice = static_cast<std::uint32_t>(table_.slots() / sweeps_per_round + 1);
    table_.sweep(slice, now_us, options_.session_idle_us, [&](session& one) {
      // One that waits for its epoch is freed when the log has answered.
      if (one.state != session_state::open) return;
      counters_.add(counter::sessions_expired);
      end_session(one, wire::reset_reason::idle, 0);
    });
    counters_.set(gauge::sessions_open, table_.size());
    counters_.set(gauge::reassemblies_open, reassemblies_.in_use());
  }
  if (now_us >= next_activity_us_) {
    next_activity_us_ = now_us + activity_period_us;
    active_sessions_ = std::max<std::uint64_t>(1, active_count_);
    active_count_ = 0;
    ++active_mark_;
  }
  send_acks(now_us);
  outbox_.flush();
  return done;
}

std::uint64_t record_server::next_due_us() const {
  std::uint64_t due = UINT64_MAX;
  for (const std::uint32_t slot : ack_list_) {
    const session* one = table_.at(slot);
    if (one && one->is_ack_due) due = std::min(due, one->ack_due_us);
  }
  if (!watch_list_.empty()) due = std::min(due, next_watch_us_);
  if (table_.size() > 0) due = std::min(due, std::max(next_sweep_us_, next_watch_us_));
  return due;
}

status record_server::open_in_process(std::string_view stream, producer_id producer,
                                      const endpoint& peer, std::uint64_t now_us) {
  MILLRACE_ASSIGN(const stream_target target, sink_.find_stream(stream));
  if (!make_session(target, producer, peer, 0, now_us)) {
    return error(error_code::exhausted,
                 "stream '" + std::string(stream) + "': no room for another session");
  }
  return {};
}

void record_server::batch_finished(const record_batch& batch, std::uint64_t now_us) {
  // Records of refused entries are no longer in the batch: only committed entries move on.
  std::size_t first_in_batch = 0;
  for (const batch_entry& entry : batch.entries) {
    const std::size_t at = first_in_batch;
    if (entry.result == outcome::committed) first_in_batch += entry.record_count;
    if (entry.kind == entry_kind::raw) continue;
    session* one = table_.at(entry.owner_tag);
    if (!one || !(one->producer == entry.producer) ||
        !(filler_.target(one->lane).id == batch.stream)) {
      continue;  // gone meanwhile
    }
    if (entry.kind == entry_kind::open) {
      if (one->state == session_state::opening) opened(*one, entry, now_us);
      continue;
    }
    if (one->state != session_state::open || !(one->epoch == entry.epoch)) continue;
    switch (entry.result) {
      case outcome::committed:
        if (one->wants_results) add_results(*one, batch, entry, at);
        committed(*one, entry, now_us);
        break;
      case outcome::fenced:
        counters_.add(counter::records_fenced, entry.record_count);
        counters_.add(counter::sessions_fenced);
        end_session(*one, wire::reset_reason::fenced, 0);
        break;
      default:
        counters_.add(counter::records_refused, entry.record_count);
        end_session(*one,
                    entry.result == outcome::stream_not_found ? wire::reset_reason::stream_not_found
                    : entry.result == outcome::shutting_down  ? wire::reset_reason::shutting_down
                                                             // The client comes back and resumes.
                                                             : wire::reset_reason::unknown_session,
                    entry.first_record.value);
    }
  }
}

void record_server::end_sessions(std::uint64_t now_us) {
  table_.for_each([&](session& one) {
    if (one.state == session_state::open) {
      send_ack(one, now_us, wire::state_closing);
      end_session(one, wire::reset_reason::shutting_down, 0);
    } else {
      drop(one);
    }
  });
  outbox_.flush();
}

}  // namespace millrace
