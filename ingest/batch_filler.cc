#include "ingest/batch_filler.h"

#include <algorithm>
#include <thread>

#include "base/check.h"

namespace millrace {

batch_filler::batch_filler(batch_sink& sink, const batch_filler_options& options,
                           counter_set& counters, waker* wake)
    : sink_(sink), options_(options), counters_(counters), wake_(wake), finished_(options.batches) {
  all_.reserve(options.batches);
  pool_.reserve(options.batches);
  in_flight_.reserve(options.batches);
  for (std::uint32_t i = 0; i < options.batches; ++i) {
    all_.push_back(std::make_unique<record_batch>(*this));
    pool_.push_back(all_.back().get());
  }
}

batch_filler::~batch_filler() {
  // The sink may still be on its way out of finished() with the last batch, already collected.
  while (finishing_.load(std::memory_order_acquire) != 0)
    std::this_thread::yield();
}

std::uint32_t batch_filler::register_owner(buffer_owner& owner) {
  MILLRACE_CHECK(owner_count_ < owners_.size(), "too many buffer owners at one door");
  owners_[owner_count_] = &owner;
  return owner_count_++;
}

stream_lane batch_filler::attach(const stream_target& stream) {
  if (const auto found = lane_of_.find(stream.id); found != lane_of_.end()) {
    lanes_[found->second.value]->target = stream;  // a reshard may have changed the batch size
    return found->second;
  }
  const stream_lane lane(static_cast<std::uint32_t>(lanes_.size()));
  lanes_.push_back(std::make_unique<lane_state>());
  lanes_.back()->target = stream;
  open_.reserve(lanes_.size());
  lane_of_.emplace(stream.id, lane);
  return lane;
}

record_batch* batch_filler::room_for(lane_state& lane, std::uint64_t bytes, std::size_t records,
                                     std::uint64_t now_us) {
  if (record_batch* batch = lane.filling) {
    const bool fits = batch->record_bytes + bytes <= lane.target.batch_bytes_max &&
                      batch->records.size() + records <= limits::batch_records_max &&
                      batch->entries.size() < limits::batch_entries_max;
    if (fits && !lane.is_full) return batch;
    lane.is_full = true;
    if (!submit(lane)) return nullptr;
  }
  if (pool_.empty()) return nullptr;
  record_batch* batch = pool_.back();
  pool_.pop_back();
  batch->advance(batch_state::idle, batch_state::filling);
  batch->stream = lane.target.id;
  batch->opened_us = now_us;
  lane.filling = batch;
  lane.is_full = false;
  lane.open_index = static_cast<std::uint32_t>(open_.size());
  open_.push_back(&lane);
  return batch;
}

bool batch_filler::append(stream_lane lane, const run_owner& owner,
                          std::span<const record_ref> records, std::uint64_t buffer,
                          std::uint64_t now_us) {
  std::uint64_t bytes = 0;
  for (const record_ref& one : records)
    bytes += one.stride;
  record_batch* batch = room_for(*lanes_[lane.value], bytes, records.size(), now_us);
  if (!batch) return false;
  const auto count = static_cast<std::uint32_t>(records.size());
  batch->records.insert(batch->records.end(), records.begin(), records.end());
  batch->record_bytes += bytes;
  batch->buffers.push_back(buffer);
  if (!batch->entries.empty()) {
    batch_entry& last = batch->entries.back();
    const bool follows = last.kind == owner.kind && last.owner_tag == owner.owner_tag &&
                         last.producer == owner.producer && last.epoch == owner.epoch &&
                         (owner.kind == entry_kind::raw ||
                          last.first_record.value + last.record_count == owner.first_record.value);
    if (follows) {
      last.record_count += count;
      last.record_bytes += bytes;
      return true;
    }
  }
  batch->entries.push_back({.producer = owner.producer,
                            .first_record = owner.first_record,
                            .epoch = owner.epoch,
                            .record_count = count,
                            .owner_tag = owner.owner_tag,
                            .kind = owner.kind,
                            .record_bytes = bytes});
  return true;
}

bool batch_filler::append_open(stream_lane lane, producer_id producer, std::uint32_t owner_tag,
                               std::uint64_t now_us) {
  record_batch* batch = room_for(*lanes_[lane.value], 0, 0, now_us);
  if (!batch) return false;
  batch->entries.push_back(
      {.producer = producer, .owner_tag = owner_tag, .kind = entry_kind::open});
  return true;
}

bool batch_filler::submit(lane_state& lane) {
  record_batch* batch = lane.filling;
  // From a successful submit on the batch is the sink's, which may finish it before we look again.
  if (!sink_.submit(*batch)) return false;
  in_flight_.push_back({batch, batch->opened_us});
  counters_.add(counter::batches_submitted);
  lane.filling = nullptr;
  lane.is_full = false;
  open_.back()->open_index = lane.open_index;
  open_[lane.open_index] = open_.back();
  open_.pop_back();
  return true;
}

int batch_filler::submit_due(std::uint64_t now_us) {
  int count = 0;
  for (std::size_t i = open_.size(); i-- > 0;) {
    lane_state& lane = *open_[i];
    const bool is_due = lane.is_full || now_us - lane.filling->opened_us >= options_.linger_us ||
                        sink_.is_idle(lane.target.id);
    if (is_due && submit(lane)) ++count;
  }
  return count;
}

int batch_filler::submit_all() {
  int count = 0;
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (submit(*open_[i])) ++count;
  }
  return count;
}

void batch_filler::finished(record_batch& batch) {
  finishing_.fetch_add(1, std::memory_order_relaxed);
  const bool queued = finished_.push(&batch);
  MILLRACE_CHECK(queued, "more batches came back than there are");
  if (wake_) wake_->notify();
  finishing_.fetch_sub(1, std::memory_order_release);
}

int batch_filler::collect(std::uint64_t now_us) {
  int count = 0;
  record_batch* batch = nullptr;
  while (finished_.pop(batch)) {
    MILLRACE_CHECK(batch->state() == batch_state::finished, "a batch came back unfinished");
    for (batch_observer* observer : observers_)
      observer->batch_finished(*batch, now_us);
    for (const std::uint64_t handle : batch->buffers)
      release(handle);
    const auto found = std::ranges::find(in_flight_, batch, &flight::batch);
    MILLRACE_CHECK(found != in_flight_.end(), "a batch came back that was not sent");
    *found = in_flight_.back();
    in_flight_.pop_back();
    batch->clear();
    batch->advance(batch_state::finished, batch_state::idle);
    pool_.push_back(batch);
    ++count;
  }
  return count;
}

void batch_filler::set_gauges(std::uint64_t now_us) {
  std::uint64_t oldest = now_us;
  for (const flight& one : in_flight_)
    oldest = std::min(oldest, one.opened_us);
  for (const lane_state* lane : open_)
    oldest = std::min(oldest, lane->filling->opened_us);
  counters_.set(gauge::batches_in_flight, in_flight_.size());
  counters_.set(gauge::durable_lag_us, now_us - oldest);
}

std::uint64_t batch_filler::next_due_us() const {
  std::uint64_t due = UINT64_MAX;
  for (const lane_state* lane : open_) {
    due = std::min(due, lane->filling->opened_us + options_.linger_us);
  }
  return due;
}

}  // namespace millrace
