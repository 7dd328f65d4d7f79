#include "ingest/door.h"

#include <algorithm>
#include <ctime>

#include <poll.h>

#include "base/check.h"
#include "base/clock.h"

namespace millrace {
namespace {

constexpr std::uint64_t gauges_period_us = 100'000;
/// The longest sleep: the sweep for idle sessions and the gauges need no more.
constexpr std::uint64_t sleep_max_us = 500'000;
/// Between looks at a source that has no free buffer.
constexpr std::uint64_t stall_sleep_us = 1'000;
/// Rounds without work before a door sleeps: a busy one does not pay for going to sleep and waking.
constexpr int idle_rounds = 8;
/// A source that nothing can be slept on is looked at so often with other threads let by, and from
/// then on at this interval.
constexpr int yield_rounds = 1000;
constexpr std::uint64_t ring_sleep_us = 50;

}  // namespace

door::door(const door_parts&, std::unique_ptr<packet_source> source, const door_options& options)
    : options_(options),
      source_(std::move(source)),
      source_owner_(*source_),
      burst_(limits::burst_packets_max) {}

result<std::unique_ptr<door>> door::create(const door_parts& parts,
                                           std::unique_ptr<packet_source> source,
                                           const door_options& options) {
  std::unique_ptr<door> made(new door(parts, std::move(source), options));
  MILLRACE_ASSIGN(made->reassemblies_, reassembly_pool::create(parts.memory, options.reassemblies));
  made->filler_ =
      std::make_unique<batch_filler>(parts.sink, options.batches, made->counters_, &made->waker_);
  const std::uint32_t owner = made->filler_->register_owner(made->source_owner_);
  MILLRACE_CHECK(owner == 0, "the source is the first owner");
  if (parts.mesh) {
    MILLRACE_ASSIGN(made->inbox_, door_inbox::create(parts.memory, made->waker_));
    made->inbox_owner_ = made->filler_->register_owner(*made->inbox_);
    parts.mesh->join(options.server.door, *made->inbox_);
    made->mesh_ = parts.mesh;
  }
  made->server_ =
      std::make_unique<record_server>(record_server_parts{.sink = parts.sink,
                                                          .filler = *made->filler_,
                                                          .source = *made->source_,
                                                          .reassemblies = *made->reassemblies_,
                                                          .cookies = parts.cookies,
                                                          .counters = made->counters_,
                                                          .lookup = parts.lookup,
                                                          .forwarder = parts.mesh,
                                                          .wake = &made->waker_},
                                      options.server);
  return made;
}

door::~door() {
  stop();
  if (mesh_) mesh_->leave(options_.server.door);
}

void door::set_handler(std::uint16_t listener, packet_handler& handler) {
  if (handlers_.size() <= listener) handlers_.resize(std::size_t{listener} + 1);
  handlers_[listener] = &handler;
}

void door::dispatch(const received_packet& packet, std::uint32_t owner, std::uint64_t now_us) {
  packet_handler* handler =
      packet.listener < handlers_.size() ? handlers_[packet.listener] : nullptr;
  if (!handler) handler = server_.get();
  const std::uint64_t buffer = batch_filler::buffer_handle(owner, packet.buffer);
  if (!handler->handle(packet, buffer, now_us)) filler_->release(buffer);
}

int door::receive(std::uint64_t now_us) {
  const std::uint32_t count = source_->receive(burst_);
  for (std::uint32_t i = 0; i < count; ++i)
    dispatch(burst_[i], 0, now_us);
  int done = static_cast<int>(count);
  received_packet handed;
  while (inbox_ && inbox_->take(handed)) {
    dispatch(handed, inbox_owner_, now_us);
    ++done;
  }
  return done;
}

int door::do_work(std::uint64_t now_us) {
  int done = receive(now_us);
  done += filler_->collect(now_us);
  done += filler_->submit_due(now_us);
  done += server_->do_work(now_us);
  if (now_us >= next_gauges_us_) {
    next_gauges_us_ = now_us + gauges_period_us;
    set_gauges(now_us);
  }
  return done;
}

void door::set_gauges(std::uint64_t now_us) {
  const source_counters now = source_->counters();
  counters_.add(counter::source_dropped, now.dropped - counted_.dropped);
  counters_.add(counter::source_stalled, now.stalled - counted_.stalled);
  counters_.set(gauge::receive_buffers, now.buffers);
  counters_.set(gauge::receive_buffers_free, now.buffers_free);
  counted_ = now;
  filler_->set_gauges(now_us);
}

std::uint64_t door::next_due_us() const {
  return std::min(filler_->next_due_us(), server_->next_due_us());
}

bool door::has_work() const {
  return filler_->has_finished() || server_->has_answers() || (inbox_ && !inbox_->empty()) ||
         is_stopping_.load(std::memory_order_acquire);
}

void door::wait(std::uint64_t now_us) {
  const std::uint64_t due = next_due_us();
  if (due <= now_us) return;
  std::uint64_t timeout_us = std::min(due - now_us, sleep_max_us);
  // Packets that wait for a free buffer keep the descriptor readable: then it is buffers that are
  // waited for, and they come with finished batches.
  const std::uint64_t stalled = source_->counters().stalled;
  const bool is_stalled = stalled != stalled_before_;
  stalled_before_ = stalled;
  if (is_stalled) timeout_us = std::min(timeout_us, stall_sleep_us);
  waker_.arm();
  if (!has_work()) {
    pollfd on[2] = {{.fd = is_stalled ? -1 : source_->poll_fd(), .events = POLLIN, .revents = 0},
                    {.fd = waker_.fd(), .events = POLLIN, .revents = 0}};
    const timespec timeout{.tv_sec = static_cast<time_t>(timeout_us / 1'000'000),
                           .tv_nsec = static_cast<long>(timeout_us % 1'000'000 * 1000)};
    ::ppoll(on, 2, &timeout, nullptr);
  }
  waker_.disarm();
}

void door::run() {
  source_->adopt_thread();
  const bool may_sleep = !options_.busy_poll && source_->poll_fd() >= 0;
  int idle = 0;
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const std::uint64_t now_us = monotonic_us();
    if (do_work(now_us) > 0) {
      idle = 0;
    } else if (++idle >= idle_rounds) {
      if (may_sleep) {
        wait(now_us);
      } else if (!options_.busy_poll) {
        // On a core of its own this costs next to nothing; on a shared one, an empty ring would
        // keep those from working who could fill it, or who fold what came out of it.
        if (idle < yield_rounds) {
          std::this_thread::yield();
        } else {
          waker_.wait(ring_sleep_us, [this] { return has_work(); });
        }
      }
    }
  }
  drain();
}

void door::start() {
  MILLRACE_CHECK(!thread_.joinable(), "a door was started twice");
  thread_ = std::thread([this] { run(); });
}

/// No new records from now on; what is in batches still becomes durable and is acked.
void door::drain() {
  server_->begin_shutdown();
  const std::uint64_t until_us = monotonic_us() + options_.shutdown_us;
  while (filler_->in_use() > 0 && monotonic_us() < until_us) {
    filler_->submit_all();
    if (do_work(monotonic_us()) > 0) continue;
    // is_stopping_ keeps has_work() true, so it is the waker alone that is waited for.
    waker_.wait(1000, [this] { return filler_->has_finished(); });
  }
  server_->end_sessions(monotonic_us());
}

void door::stop() {
  if (is_stopped_) return;
  is_stopped_ = true;
  is_stopping_.store(true, std::memory_order_release);
  waker_.notify();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    drain();
  }
}

}  // namespace millrace
