#include "shards/stream_port.h"

#include "base/check.h"

namespace millrace {

stream_port::pushed stream_port::push(record_batch& batch) {
  std::lock_guard lock(mutex_);
  if (closed_ != outcome::pending) return pushed::closed;
  if (count_ == waiting_.size()) return pushed::full;
  batch.advance(batch_state::filling, batch_state::submitted);
  waiting_[(first_ + count_) % waiting_.size()] = &batch;
  ++count_;
  return outstanding_.fetch_add(1, std::memory_order_acq_rel) == 0 ? pushed::first : pushed::taken;
}

record_batch* stream_port::pop() {
  std::lock_guard lock(mutex_);
  if (count_ == 0) return nullptr;
  record_batch* const batch = waiting_[first_];
  first_ = (first_ + 1) % waiting_.size();
  --count_;
  return batch;
}

const record_batch* stream_port::front() const {
  std::lock_guard lock(mutex_);
  return count_ == 0 ? nullptr : waiting_[first_];
}

void stream_port::close(outcome why) {
  std::lock_guard lock(mutex_);
  if (closed_ == outcome::pending) closed_ = why;
}

outcome stream_port::closed_as() const {
  std::lock_guard lock(mutex_);
  return closed_;
}

port_table::~port_table() {
  for (auto& one : chunks_)
    delete one.load(std::memory_order_relaxed);
}

stream_port* port_table::find(stream_id id) const {
  if (id.value >= streams_ever_max) return nullptr;
  const chunk* const of = chunks_[id.value / chunk_ports].load(std::memory_order_acquire);
  return of == nullptr ? nullptr : (*of)[id.value % chunk_ports].load(std::memory_order_acquire);
}

stream_port& port_table::add(stream_id id, std::uint32_t batches_max) {
  MILLRACE_CHECK(id.value < streams_ever_max, "the stream's creation was refused");
  auto& place = chunks_[id.value / chunk_ports];
  if (place.load(std::memory_order_relaxed) == nullptr) {
    place.store(new chunk{}, std::memory_order_release);
  }
  ports_.push_back(std::make_unique<stream_port>(batches_max));
  (*place.load(std::memory_order_relaxed))[id.value % chunk_ports].store(ports_.back().get(),
                                                                         std::memory_order_release);
  return *ports_.back();
}

}  // namespace millrace
