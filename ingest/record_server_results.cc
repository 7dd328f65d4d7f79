// RESULTS: where each durable record went, kept until the client has it.
#include <algorithm>

#include "base/check.h"
#include "ingest/record_server.h"

namespace millrace {
namespace {

constexpr std::uint32_t records_per_query = 4096;
constexpr std::size_t queries_max = 16;
constexpr std::uint64_t retry_min_us = 20'000;
constexpr std::uint64_t retry_max_us = 1'000'000;

/// Puts the first of `places` that share an arrival second, and fit, into a chunk; returns how
/// many.
std::uint32_t fill_chunk(result_chunk& chunk, std::uint64_t first_record,
                         std::span<const record_place> places) {
  constexpr std::uint32_t shards_max = 256;
  wire::result_shard shards[shards_max];
  std::uint16_t shard_of[result_chunk::payload_bytes_max / 6 + 1];
  std::uint32_t shard_count = 0;
  std::uint32_t count = 0;
  std::uint32_t bytes = sizeof(wire::results_payload);
  for (const record_place& place : places) {
    if (place.arrival_s != places[0].arrival_s) break;
    // From the newest on: neighbours often share a shard.
    std::uint32_t s = shard_count;
    while (s > 0 && (shards[s - 1].shard != place.shard.value ||
                     place.index.value - shards[s - 1].base_index > UINT32_MAX)) {
      --s;
    }
    const std::uint32_t cost = 6 + (s == 0 ? sizeof(wire::result_shard) : 0);
    if (bytes + cost > result_chunk::payload_bytes_max || (s == 0 && shard_count == shards_max)) {
      break;
    }
    if (s == 0) {
      shards[shard_count] = {.base_index = place.index.value,
                             .shard = place.shard.value,
                             .created_s = place.created_s};
      s = ++shard_count;
    }
    shard_of[count++] = static_cast<std::uint16_t>(s - 1);
    bytes += cost;
  }
  const wire::results_payload head{.arrival_s = places[0].arrival_s,
                                   .record_count = static_cast<std::uint16_t>(count),
                                   .shard_count = static_cast<std::uint16_t>(shard_count)};
  std::byte* at = chunk.payload;
  store(at, head);
  at += sizeof head;
  for (std::uint32_t s = 0; s < shard_count; ++s, at += sizeof shards[s])
    store(at, shards[s]);
  for (std::uint32_t i = 0; i < count; ++i, at += 4) {
    store(at, static_cast<std::uint32_t>(places[i].index.value - shards[shard_of[i]].base_index));
  }
  for (std::uint32_t i = 0; i < count; ++i, at += 2)
    store(at, shard_of[i]);
  chunk.first_record = first_record;
  chunk.record_count = count;
  chunk.payload_bytes = bytes;
  return count;
}

/// The server does not know: the client stops waiting for these.
void fill_unknown(result_chunk& chunk, std::uint64_t first_record, std::uint32_t count) {
  store(chunk.payload,
        wire::results_payload{
            .arrival_s = 0, .record_count = static_cast<std::uint16_t>(count), .shard_count = 0});
  chunk.first_record = first_record;
  chunk.record_count = count;
  chunk.payload_bytes = sizeof(wire::results_payload);
}

}  // namespace

result_chunk* record_server::take_chunk() {
  if (spare_chunks_.empty()) {
    if (chunks_.size() >= options_.results_chunks_max) return nullptr;
    chunks_.push_back(std::make_unique<result_chunk>());
    spare_chunks_.reserve(chunks_.size());
    return chunks_.back().get();
  }
  result_chunk* chunk = spare_chunks_.back();
  spare_chunks_.pop_back();
  return chunk;
}

/// Appends chunks of `places` to `to`; false when chunks ran out on the way.
bool record_server::add_chunks(std::vector<result_chunk*>& to, std::uint64_t first,
                               std::span<const record_place> places) {
  while (!places.empty()) {
    result_chunk* chunk = take_chunk();
    if (!chunk) return false;
    const std::uint32_t count = fill_chunk(*chunk, first, places);
    to.push_back(chunk);
    first += count;
    places = places.subspan(count);
  }
  return true;
}

void record_server::add_results(session& one, const record_batch& batch, const batch_entry& entry,
                                std::size_t first_in_batch) {
  // After a hole (chunks ran out) the log is asked for what is missing: see client_has_results().
  if (entry.first_record.value != one.results_end) return;
  places_.clear();
  const auto arrival_s = static_cast<std::uint32_t>(batch.arrival_us / 1'000'000);
  for (std::size_t i = first_in_batch; i < first_in_batch + entry.record_count; ++i) {
    const record_batch::shard_run& run = batch.runs[batch.run[i]];
    places_.push_back({.index = run.first.next(batch.rank[i]),
                       .shard = run.shard,
                       .created_s = run.created_s,
                       .arrival_s = arrival_s});
  }
  session_work& work = work_of(one);
  watch(one);
  const bool is_whole = add_chunks(work.results, one.results_end, places_);
  if (!work.results.empty())
    one.results_end = std::max(one.results_end, work.results.back()->end());
  if (!is_whole) counters_.add(counter::results_deferred);
}

std::uint64_t record_server::results_sent(const session& one) const {
  if (!one.work || one.work->results_sent == 0) return one.client_results;
  return one.work->results[one.work->results_sent - 1]->end();
}

void record_server::client_has_results(session& one, std::uint64_t below, std::uint64_t now_us) {
  if (below > one.durable_record) return;  // cannot be
  // The first word after OPEN_ACK may go back to what an earlier session never heard.
  if (!one.results_heard || below > one.client_results) {
    one.results_heard = true;
    one.client_results = below;
    if (one.work) one.work->results_retry_us = 0;
  } else if (below < one.client_results) {
    return;  // an old heartbeat
  }
  std::uint64_t known_from = one.results_end;
  if (one.work) {
    session_work& work = *one.work;
    std::size_t had = 0;
    while (had < work.results.size() && work.results[had]->end() <= below)
      ++had;
    if (had > 0) {
      spare_chunks_.insert(spare_chunks_.end(), work.results.begin(),
                           work.results.begin() + static_cast<std::ptrdiff_t>(had));
      work.results.erase(work.results.begin(),
                         work.results.begin() + static_cast<std::ptrdiff_t>(had));
      work.results_sent -= std::min(work.results_sent, had);
      work.results_wait_us = 0;
    }
    if (work.results_sent > 0) {
      // Sent, and not there: wait for it a little, then send it again.
      if (work.results_retry_us == 0) {
        work.results_wait_us = std::clamp(2 * work.results_wait_us, retry_min_us, retry_max_us);
        work.results_retry_us = now_us + work.results_wait_us;
      } else if (now_us >= work.results_retry_us) {
        work.results_retry_us = 0;
        work.results_sent = 0;
      }
    }
    if (!work.results.empty()) known_from = work.results.front()->first_record;
  }
  const bool is_hole_below = one.client_results < known_from;
  const bool is_hole_above =
      (!one.work || one.work->results.empty()) && one.results_end < one.durable_record;
  if (is_hole_below || is_hole_above) {
    ask_for_results(one, is_hole_below ? known_from : one.durable_record);
  }
}

void record_server::ask_for_results(session& one, std::uint64_t end) {
  session_work& work = work_of(one);
  watch(one);
  if (work.lookup_pending) return;
  const std::uint64_t first = one.client_results;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(end - first, records_per_query));
  if (!lookup_) {
    if (result_chunk* chunk = take_chunk()) {
      fill_unknown(*chunk, first, count);
      work.results.insert(work.results.begin(), chunk);
      work.results_sent = 0;
      one.results_end = std::max(one.results_end, chunk->end());
    }
    return;
  }
  if (spare_queries_.empty()) {
    if (queries_.size() == queries_max) return;  // the client's next heartbeat asks again
    queries_.push_back(std::make_unique<result_query>());
    spare_queries_.reserve(queries_max);
    spare_queries_.push_back(queries_.back().get());
  }
  result_query* query = spare_queries_.back();
  query->stream = filler_.target(one.lane).id;
  query->producer = one.producer;
  query->first = record_number(first);
  query->count = count;
  query->places.clear();
  query->failed = false;
  query->slot = one.slot;
  query->session = one.id;
  query->home = this;
  if (!lookup_->ask(*query)) return;
  spare_queries_.pop_back();
  work.lookup_pending = true;
}

void record_server::answered(result_query& query) {
  const bool queued = answers_.push(&query);
  MILLRACE_CHECK(queued, "more answers than questions");
  if (wake_) wake_->notify();
}

void record_server::take_answers(std::uint64_t now_us) {
  result_query* query = nullptr;
  while (answers_.pop(query)) {
    session* one = table_.find(query->slot, query->session);
    spare_queries_.push_back(query);
    if (!one || one->state != session_state::open) continue;
    session_work& work = work_of(*one);
    work.lookup_pending = false;
    const bool is_wanted = query->first.value == one->client_results;
    if (!is_wanted || query->failed) continue;  // the client's next heartbeat asks again
    std::vector<result_chunk*> found;
    if (query->places.size() == query->count) {
      add_chunks(found, query->first.value, query->places);
    } else if (result_chunk* chunk = take_chunk()) {
      fill_unknown(*chunk, query->first.value, query->count);
      found.push_back(chunk);
    }
    if (found.empty()) continue;
    one->results_end = std::max(one->results_end, found.back()->end());
    work.results.insert(work.results.begin(), found.begin(), found.end());
    work.results_sent = 0;
    ack_soon(*one, now_us);
  }
}

void record_server::send_results(session& one) {
  session_work& work = *one.work;
  // A bounded burst; the client's heartbeats pull the rest.
  constexpr std::size_t burst = 64;
  for (std::size_t i = 0; i < burst && work.results_sent < work.results.size(); ++i) {
    const result_chunk& chunk = *work.results[work.results_sent++];
    wire::datagram_header header{};
    header.type = static_cast<std::uint8_t>(wire::datagram_type::results);
    header.first_record = chunk.first_record;
    header.payload_bytes = chunk.payload_bytes;
    std::byte* at = outbox_.claim();
    std::memcpy(at + sizeof header, chunk.payload, chunk.payload_bytes);
    outbox_.commit(seal_reply(one, at, header), one.peer, one.listener);
  }
}

}  // namespace millrace
