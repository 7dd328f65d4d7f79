#include "shards/log_appender.h"

#include <algorithm>

#include <poll.h>

#include "base/endian.h"
#include "shards/block_builder.h"

namespace millrace {

using namespace log_format;

namespace {

constexpr std::uint64_t idle_release_us = 5'000'000;
/// Blocks built while every flush is in flight, so that the disk does not wait for the next one.
constexpr std::size_t blocks_ahead = 1;

/// With the largest batches every flush has such a buffer.
std::uint64_t largest_block_bytes() {
  return align_up(limits::batch_bytes_max + limits::record_bytes_max + 2 * limits::mib,
                  disk_block_bytes);
}

}  // namespace

log_appender::log_appender(log_shared& shared, const log_options& options, counter_set& counters,
                           const recovered_log& recovered)
    : shared_(shared),
      options_(options),
      counters_(counters),
      pool_(std::make_shared<block_pool>(options.flushes_in_flight * largest_block_bytes())),
      next_(recovered.state.next),
      arrival_us_(recovered.state.arrival_us),
      highest_(recovered.highest),
      abandoned_(recovered.abandoned) {
  committed_.arrival_us = recovered.state.arrival_us;
  recovered.state.producers.for_each([this](producer_id producer, const producer_state& state) {
    admitted_.restore(producer, state);
    committed_.producers.restore(producer, state);
  });
}

log_appender::~log_appender() {
  queue_ = nullptr;  // ends when the last write has
  // Gives the preallocated rest back. After a failure the file is left as it is.
  if (file_ == nullptr || failed_ || !waiting_.empty()) return;
  const std::uint64_t end = shared_.segments->back()->end;
  const std::uint64_t closed = write_closing_block();
  (void)file_->truncate(end + closed).ok();
}

/// Marks all of the open segment as durable, so that damage to its last block is not taken for a
/// torn write. Returns the bytes written; 0 when it cannot be done: then it is as after a crash.
std::uint64_t log_appender::write_closing_block() {
  const segment& open = *shared_.segments->back();
  if (open.block_count == 0 || write_offset_ != open.end) return 0;
  if (!file_->sync().ok()) return 0;  // acked at `written`, a block may not be on the disk yet
  const std::vector<std::byte> block =
      closing_block({open.incarnation, next_ordinal_, open.end, open.end}, open.newest_us);
  return file_->write_durable(open.end, block).ok() ? block.size() : 0;
}

record_index log_appender::next_index(shard_index shard) const {
  const auto found = next_.find(shard);
  return found == next_.end() ? record_index{} : found->second;
}

// --- admission -------------------------------------------------------------------------------

void log_appender::admit(record_batch& batch, std::uint64_t wall_us) {
  std::size_t from = 0;
  std::size_t to = 0;
  for (batch_entry& entry : batch.entries) {
    if (entry.result != outcome::pending) continue;
    if (entry.kind == entry_kind::open) {
      const auto granted = admitted_.grant_epoch(entry.producer, wall_us);
      if (granted.ok()) {
        entry.epoch = granted->epoch;
        entry.next_record = granted->next;
      } else {
        entry.result = outcome::producers_exhausted;
      }
      continue;
    }
    if (entry.kind == entry_kind::records) {
      const auto known = admitted_.find(entry.producer);
      if (!known || known->epoch != entry.epoch) {
        entry.result = outcome::fenced;
      } else if (known->next != entry.first_record) {
        entry.result = outcome::out_of_order;
      } else {
        admitted_.advance(entry.producer, entry.epoch, entry.first_record.next(entry.record_count),
                          wall_us);
      }
    }
    MILLRACE_CHECK(from + entry.record_count <= batch.records.size(),
                   "entries cover the batch's records");
    const bool keep = entry.result == outcome::pending;
    for (std::size_t end = from + entry.record_count; from < end; ++from) {
      if (!keep) {
        batch.record_bytes -= batch.records[from].stride;
      } else {
        if (to != from) batch.records[to] = batch.records[from];
        ++to;
      }
    }
  }
  MILLRACE_CHECK(from == batch.records.size(), "entries cover the batch's records");
  batch.records.resize(to);
}

// --- appending -------------------------------------------------------------------------------

status log_appender::use_key(std::uint32_t id) {
  locked_.reset();
  sealer_.reset();
  if (id == 0) return {};
  const log_key* const key = options_.keyring != nullptr ? options_.keyring->find(id) : nullptr;
  status usable = check_key(key, id);
  if (usable.ok()) {
    // A new one also for the key in use: its salt is new.
    sealer_ = std::make_unique<run_sealer>(*key);
  } else {
    locked_ = usable.failure();
  }
  return usable;
}

bool log_appender::can_append() const {
  return !options_.read_only && !blocked_ && !locked_ &&
         waiting_.size() < options_.flushes_in_flight + blocks_ahead;
}

void log_appender::append(record_batch& batch, std::span<const record_ref> order,
                          std::uint64_t wall_us) {
  MILLRACE_CHECK(can_append(), "append only when there is room");
  pending one;
  one.batch = &batch;
  const bool something = std::any_of(batch.entries.begin(), batch.entries.end(),
                                     [](const auto& e) { return e.result == outcome::pending; });
  if (something) {
    arrival_us_ = std::max(arrival_us_, wall_us);
    batch.arrival_us = arrival_us_;
    batch.is_encrypted = sealer_ != nullptr;
    for (record_batch::shard_run& run : batch.runs) {
      record_index& next = next_[run.shard];
      run.first = next;
      next = next.next(run.record_count);
    }
    const block_layout layout = plan_block(batch, batch.is_encrypted);
    MILLRACE_CHECK(layout.block_bytes <= block_bytes_max, "a batch has a maximal size");
    one.block = pool_->take(layout.block_bytes);
    one.block_bytes = static_cast<std::uint32_t>(layout.block_bytes);
    one.run_count = static_cast<std::uint32_t>(batch.runs.size());
    build_block(batch, order, layout, one.block->data(), sealer_.get(), shared_.stream);
    counters_.add(counter::record_bytes_copied, batch.record_bytes);
  } else {
    one.state = write_state::written;
  }
  waiting_.push_back(std::move(one));
  submit_waiting();
}

/// Submits what waits, in order, as far as it goes.
void log_appender::submit_waiting() {
  if (failed_) return;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i].state != write_state::waiting) continue;
    if (!submit(waiting_[i], first_token_ + i)) return;
  }
}

bool log_appender::fits(const pending& one) const {
  return file_ != nullptr && write_offset_ + one.block_bytes <= file_bytes_ &&
         (next_ordinal_ == 0 || run_count_ + one.run_count <= limits::segment_runs_max);
}

bool log_appender::submit(pending& one, std::uint64_t token) {
  if (!fits(one)) {
    // A segment's header says where its predecessor ends, so that one must be complete.
    if (writing_ != 0 || (blocked_ && now_us_ < retry_us_)) return false;
    if (status started = start_segment(one.block_bytes, options_.segment_bytes); !started.ok()) {
      block(std::move(started).failure());
      return false;
    }
  }
  if (queue_ == nullptr) queue_ = shared_.files.make_write_queue(options_.flushes_in_flight);
  const segment& open = *shared_.segments->back();
  const bool durable = options_.ack == durability::durable;
  seal_block({open.incarnation, next_ordinal_, write_offset_, durable ? open.end : open.data_start},
             one.block->data());
  if (!queue_->submit(*file_, write_offset_, {one.block->data(), one.block_bytes}, options_.ack,
                      token)) {
    return false;
  }
  one.offset = write_offset_;
  one.state = write_state::writing;
  if (one.again) counters_.add(counter::blocks_rewritten);
  ++writing_;
  ++next_ordinal_;
  write_offset_ += one.block_bytes;
  run_count_ += one.run_count;
  return true;
}

// --- completion ------------------------------------------------------------------------------

void log_appender::poll(std::uint64_t monotonic_us, std::vector<record_batch*>& done) {
  now_us_ = monotonic_us;
  take_finished(done);
  if (failed_ && writing_ == 0) give_up_segment();
  submit_waiting();
  if (!waiting_.empty()) {
    active_us_ = now_us_;
    released_ = false;
  } else if (!released_ && now_us_ - active_us_ >= idle_release_us) {
    release_memory();
  }
  const auto move = [this](std::atomic<std::uint64_t>& from, counter to) {
    if (from.load(std::memory_order_relaxed) != 0) counters_.add(to, from.exchange(0));
  };
  move(shared_.disk_bytes_read, counter::disk_bytes_read);
  move(shared_.record_bytes_read, counter::record_bytes_read);
  move(shared_.blocks_damaged, counter::blocks_damaged);
}

/// A log of many that has fallen silent keeps no block buffers; its readers go to the disk.
void log_appender::release_memory() {
  released_ = true;
  {
    std::lock_guard lock(shared_.mutex);
    shared_.hot.clear();
  }
  pool_->shrink();
}

/// Notes which writes have ended and completes batches in order, up to the first that has not or
/// that failed: what is after a failed write is not acked, whole or not.
void log_appender::take_finished(std::vector<record_batch*>& done) {
  if (writing_ != 0) {
    finished_.clear();
    queue_->poll(finished_);
    for (finished_write& one : finished_) {
      pending& ended = waiting_[one.token - first_token_];
      --writing_;
      counters_.add(counter::flushes);
      ended.state = one.outcome.ok() ? write_state::written : write_state::failed;
      if (one.outcome.ok()) continue;
      counters_.add(counter::flush_errors);
      failed_ = true;
      block(std::move(one.outcome).failure());
    }
  }
  bool published = false;
  while (!waiting_.empty() && waiting_.front().state == write_state::written) {
    pending& front = waiting_.front();
    if (front.block) {
      publish(front);
      published = true;
      blocked_.reset();
    }
    complete(front);
    done.push_back(front.batch);
    waiting_.pop_front();
    ++first_token_;
  }
  if (published) shared_.tell_news();
}

/// Shows a durable block to the readers.
void log_appender::publish(const pending& one) {
  const std::byte* const block = one.block->data();
  const auto header = load<block_header>(block);
  std::uint64_t at = sizeof(block_header) + std::uint64_t{header.run_count} * sizeof(run_entry);
  std::lock_guard lock(shared_.mutex);
  segment& open = *shared_.segments->back();
  open.memory->add_block(one.offset, one.block_bytes);
  for (std::uint32_t i = 0; i < header.run_count; ++i) {
    const auto run = load<run_entry>(block + sizeof header + std::size_t{i} * sizeof(run_entry));
    const shard_index shard(run.shard);
    open.memory->add_run(shard, {run.first_index, one.offset + at, header.arrival_us, run.bytes,
                                 run.record_count, run.crc, run.cipher});
    shared_.shards[shard].end = record_index(run.first_index + run.record_count);
    at += run.bytes;
  }
  if (open.block_count++ == 0) open.oldest_us = header.arrival_us;
  open.newest_us = header.arrival_us;
  open.end = one.offset + one.block_bytes;
  shared_.newest_us = header.arrival_us;
  shared_.hot.push(
      {open.number, one.offset, one.block_bytes, one.block, std::move(one.batch->device)});
  ++shared_.version;
}

void log_appender::complete(pending& one) {
  record_batch& batch = *one.batch;
  batch.result = outcome::committed;
  if (one.block) {
    committed_.arrival_us = batch.arrival_us;
    counters_.add(counter::batches_committed);
    counters_.add(counter::records_durable, batch.records.size());
    counters_.add(counter::record_bytes_durable, batch.record_bytes);
    counters_.add(counter::block_bytes_written, one.block_bytes);
  }
  for (batch_entry& entry : batch.entries) {
    if (entry.result != outcome::pending) continue;
    entry.result = outcome::committed;
    if (entry.kind == entry_kind::raw) continue;
    const record_number next = entry.kind == entry_kind::open
                                   ? entry.next_record
                                   : entry.first_record.next(entry.record_count);
    committed_.producers.advance(entry.producer, entry.epoch, next, batch.arrival_us);
  }
}

// --- failure ---------------------------------------------------------------------------------

void log_appender::block(error why) {
  retry_us_ = now_us_ + limits::blocked_retry_us;
  blocked_ = std::move(why);
}

/// A file is never trusted again after a failed write: what is not acked goes into a new one.
void log_appender::give_up_segment() {
  for (pending& one : waiting_) {
    if (!one.block) continue;
    one.state = write_state::waiting;
    one.again = true;
  }
  failed_ = false;
  file_bytes_ = write_offset_ = 0;  // nothing fits any more
}

void log_appender::abandon(std::vector<record_batch*>& done) {
  while (writing_ != 0) {
    pollfd ready{queue_->poll_fd(), POLLIN, 0};
    ::poll(&ready, ready.fd < 0 ? 0 : 1, 1);
    take_finished(done);
  }
  take_finished(done);
  for (const pending& one : waiting_) {
    one.batch->result = outcome::shutting_down;
    for (batch_entry& entry : one.batch->entries) {
      if (entry.result == outcome::pending) entry.result = outcome::shutting_down;
    }
    done.push_back(one.batch);
  }
  failed_ = failed_ || !waiting_.empty();
  waiting_.clear();
}

}  // namespace millrace
