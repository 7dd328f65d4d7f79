#include "shards/pipeline.h"

#include <algorithm>
#include <ctime>

#include <poll.h>

#include "base/clock.h"
#include "base/limits.h"
#include "shards/pipeline_core.h"

namespace millrace {
namespace {

/// Jobs on the compute backend at once. The CPU backend does one at a time; a device overlaps them.
constexpr std::size_t route_slots_max = 4;
/// How often to look when nothing will wake us: a device's job, a write without a descriptor.
constexpr std::uint64_t poll_interval_us = 50;
/// A log that cannot be written tries again by itself, when it is polled.
constexpr std::uint64_t blocked_interval_us = 20'000;
/// At the end, a log that cannot be written gets this long to recover: a few of its own tries.
constexpr std::uint64_t blocked_patience_us = 1'000'000;

}  // namespace

pipeline_core::pipeline_core(const pipeline_options& options, data_lock lock,
                             std::unique_ptr<catalog> streams, std::unique_ptr<backend> compute)
    : options_(options),
      lock_(std::move(lock)),
      ground_(std::make_shared<ground>()),
      catalog_(std::move(streams)),
      compute_(std::move(compute)),
      slots_(route_slots_max) {
  ground_->files = options_.files ? options_.files : make_posix_file_system(options_.engine);
  for (route_slot& slot : slots_)
    free_slots_.push_back(&slot);
  results_ = std::make_unique<result_service>(
      [this](stream_id stream) -> std::shared_ptr<const stream_log> {
        std::shared_lock names(names_mutex_);
        const auto found = by_id_.find(stream);
        return found == by_id_.end() ? nullptr : found->second->log();
      });
}

pipeline_core::~pipeline_core() {
  stop();
}

// --- doors ---------------------------------------------------------------------------------------

result<stream_target> pipeline_core::find_stream(std::string_view name) {
  std::shared_lock lock(names_mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return error(error_code::not_found, "stream '" + std::string(name) + "' does not exist");
  }
  const std::uint64_t wanted =
      std::uint64_t{limits::batch_bytes_per_shard} * found->second->open_shards();
  return stream_target{.id = found->second->id(),
                       .batch_bytes_max = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
                           wanted, limits::batch_bytes_default, limits::batch_bytes_max))};
}

bool pipeline_core::submit(record_batch& batch) {
  stream_port* const port = ports_.find(batch.stream);
  if (port == nullptr) {
    refuse(batch, stopping_ ? outcome::shutting_down : outcome::stream_not_found);
    return true;
  }
  switch (port->push(batch)) {
    case stream_port::pushed::full:
      return false;
    case stream_port::pushed::closed:
      refuse(batch, port->closed_as());
      return true;
    case stream_port::pushed::first: {
      std::lock_guard lock(inbox_mutex_);
      ready_.push_back(batch.stream);
      break;
    }
    case stream_port::pushed::taken:
      break;
  }
  signal();
  return true;
}

bool pipeline_core::is_idle(stream_id stream) const {
  const stream_port* const port = ports_.find(stream);
  return port == nullptr || port->outstanding() == 0;
}

bool pipeline_core::is_blocked(stream_id stream) const {
  const stream_port* const port = ports_.find(stream);
  return port != nullptr && port->is_blocked();
}

void pipeline_core::refuse(record_batch& batch, outcome why) {
  batch.advance(batch_state::filling, batch_state::submitted);
  batch.result = why;
  for (batch_entry& entry : batch.entries)
    entry.result = why;
  refused_at_once_.fetch_add(1, std::memory_order_relaxed);
  batch.advance(batch_state::submitted, batch_state::finished);
  batch.home().finished(batch);
}

void pipeline_core::signal() {
  signals_.fetch_add(1, std::memory_order_seq_cst);
  waker_.notify();
}

// --- the agent's thread --------------------------------------------------------------------------

int pipeline_core::take_inbox() {
  const std::uint64_t signals = signals_.load(std::memory_order_seq_cst);
  if (signals == signals_taken_) return 0;
  signals_taken_ = signals;
  {
    std::lock_guard lock(inbox_mutex_);
    std::swap(ready_, ready_taken_);
    std::swap(commands_, commands_taken_);
  }
  for (const stream_id stream : ready_taken_)
    activate(stream);
  for (const auto& command : commands_taken_)
    command();
  ready_taken_.clear();
  const auto ran = static_cast<int>(commands_taken_.size());
  commands_taken_.clear();
  return ran;
}

void pipeline_core::activate(stream_id stream) {
  const auto found = agents_.find(stream);
  if (found == agents_.end() || found->second.active) return;
  found->second.active = true;
  active_.push_back(&found->second);
}

int pipeline_core::do_work() {
  int work = take_inbox();
  const agent_times now{.monotonic_us = monotonic_us(), .wall_us = wall_us()};
  for (std::size_t i = 0; i < active_.size();) {
    tended_stream& one = *active_[i];
    work += one.agent->do_work(now);
    if (one.agent->is_active()) {
      ++i;
      continue;
    }
    // A batch that is pushed from now on is the first one outstanding, and announces itself.
    one.active = false;
    active_[i] = active_.back();
    active_.pop_back();
  }
  // The first in line alternates, so that no stream always finds the free slots taken.
  if (active_.size() > 1) std::rotate(active_.begin(), active_.begin() + 1, active_.end());
  if (now.monotonic_us >= next_tend_us_) {
    next_tend_us_ = now.monotonic_us + options_.tend_interval_us;
    tend_streams(now.wall_us);
  }
  set_gauges(now);
  return work;
}

void pipeline_core::tend_streams(std::uint64_t wall_us) {
  std::uint64_t log_bytes = 0;
  for (auto& [id, one] : agents_) {
    const std::vector<shard_index> expired = one.agent->tend(wall_us, options_.retention_hour_us);
    // When the catalog cannot forget them now, they are still expired next time.
    if (!expired.empty() && catalog_->forget_shards(id, expired).ok()) {
      one.agent->forget_shards(expired);
    }
    log_bytes += one.agent->log_bytes();
    // What is full now and what is not shows in the next round.
    activate(id);
  }
  ground_->counters.set(gauge::log_bytes, log_bytes);
}

void pipeline_core::set_gauges(const agent_times& now) {
  counter_set& counters = ground_->counters;
  std::uint64_t outstanding = 0;
  std::uint64_t blocked = 0;
  std::uint64_t oldest_us = now.monotonic_us;
  for (const tended_stream* one : active_) {
    outstanding += one->agent->port().outstanding();
    blocked += one->agent->port().is_blocked() ? 1 : 0;
    oldest_us = std::min(oldest_us, one->agent->oldest_us(now.monotonic_us));
  }
  counters.set(gauge::batches_in_flight, outstanding);
  counters.set(gauge::storage_faults, blocked);
  counters.set(gauge::durable_lag_us, now.monotonic_us - oldest_us);
  const std::uint64_t refused = refused_at_once_.load(std::memory_order_relaxed);
  counters.add(counter::batches_refused, refused - refused_counted_);
  refused_counted_ = refused;
}

void pipeline_core::sleep(std::uint64_t seen_signals, std::uint64_t timeout_us_max) {
  const std::uint64_t now_us = monotonic_us();
  std::uint64_t timeout_us =
      std::min(timeout_us_max, next_tend_us_ > now_us ? next_tend_us_ - now_us : 0);
  wait_on_.clear();
  wait_on_.push_back({.fd = waker_.fd(), .events = POLLIN, .revents = 0});
  for (const tended_stream* one : active_) {
    const bool is_blocked = one->agent->port().is_blocked();
    if (is_blocked) timeout_us = std::min(timeout_us, blocked_interval_us);
    if (one->agent->is_routing()) timeout_us = std::min(timeout_us, poll_interval_us);
    if (!one->agent->is_writing()) continue;
    const int descriptor = one->agent->log()->poll_fd();
    if (descriptor >= 0) {
      wait_on_.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
    } else if (!is_blocked) {
      timeout_us = std::min(timeout_us, poll_interval_us);
    }
  }
  waker_.arm();
  if (signals_.load(std::memory_order_seq_cst) == seen_signals) {
    const timespec timeout{.tv_sec = static_cast<time_t>(timeout_us / 1'000'000),
                           .tv_nsec = static_cast<long>(timeout_us % 1'000'000 * 1000)};
    ppoll(wait_on_.data(), wait_on_.size(), &timeout, nullptr);
  }
  waker_.disarm();
}

void pipeline_core::run() {
  while (!ending_.load(std::memory_order_acquire)) {
    const std::uint64_t seen = signals_.load(std::memory_order_seq_cst);
    if (do_work() == 0 && !options_.busy_poll) sleep(seen, options_.tend_interval_us);
  }
  drain();
}

void pipeline_core::drain() {
  std::uint64_t progress_us = monotonic_us();
  while (true) {
    const std::uint64_t seen = signals_.load(std::memory_order_seq_cst);
    const int work = do_work();
    const std::uint64_t now_us = monotonic_us();
    if (work > 0) progress_us = now_us;
    bool any_left = false;
    bool all_blocked = true;
    for (const auto& [id, one] : agents_) {
      if (one.agent->port().outstanding() == 0) continue;
      any_left = true;
      all_blocked = all_blocked && one.agent->port().is_blocked();
    }
    const std::uint64_t patience_us = all_blocked
                                          ? std::min(options_.stop_patience_us, blocked_patience_us)
                                          : options_.stop_patience_us;
    if (!any_left || now_us - progress_us > patience_us) break;
    if (work == 0) sleep(seen, blocked_interval_us);
  }
  for (auto& [id, one] : agents_)
    one.agent->abandon(outcome::shutting_down);
  set_gauges({.monotonic_us = monotonic_us(), .wall_us = wall_us()});
}

void pipeline_core::start() {
  std::lock_guard lock(admin_mutex_);
  if (stopping_ || running_) return;
  running_ = true;
  thread_ = std::thread([this] { run(); });
}

void pipeline_core::stop() {
  std::lock_guard lock(admin_mutex_);
  if (stopping_.exchange(true)) return;
  results_->stop();
  {
    std::shared_lock names(names_mutex_);
    for (const auto& [name, agent] : by_name_)
      agent->port().close(outcome::shutting_down);
  }
  if (!running_) return drain();
  ending_.store(true, std::memory_order_release);
  signal();
  thread_.join();
  running_ = false;
}

}  // namespace millrace
