#pragma once
/// A record server over one end of a lossy link, with a thread that drives it.
#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include <poll.h>

#include "base/arena.h"
#include "base/clock.h"
#include "ingest/record_server.h"
#include "tests/ingest/lossy_link.h"
#include "tests/ingest/memory_log.h"

namespace millrace::testing_parts {

class memory_door {
 public:
  memory_door(lossy_link& link, memory_log& log, const record_server_options& options = {})
      : memory_door(link.end(0), log, options) {}
  memory_door(std::unique_ptr<packet_source> source, memory_log& log,
              const record_server_options& options = {})
      : source_(std::move(source)),
        arena_(*arena::create({.bytes = 64 * limits::mib, .try_hugetlb = false})),
        reassemblies_(*reassembly_pool::create(arena_, limits::reassemblies_max)),
        filler_(log, {}, counters, nullptr) {
    owner_ = filler_.register_owner(buffers_);
    server_ = std::make_unique<record_server>(record_server_parts{.sink = log,
                                                                  .filler = filler_,
                                                                  .source = *source_,
                                                                  .reassemblies = *reassemblies_,
                                                                  .cookies = cookies_,
                                                                  .counters = counters,
                                                                  .lookup = &log},
                                              options);
    thread_ = std::thread([this] { run(); });
  }
  /// Ends like a killed process: nobody is told anything. What the log has taken stays in it.
  ~memory_door() {
    stopping_.store(true);
    thread_.join();
  }
  /// Ends like `serve` does on SIGTERM: what is in batches becomes durable, everybody is told.
  void end_politely() {
    polite_.store(true);
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
  }

  counter_set counters;

 private:
  struct source_buffers final : buffer_owner {
    packet_source* source = nullptr;
    void release(std::uint64_t value) override { source->release(value); }
  };

  void run() {
    buffers_.source = source_.get();
    while (!stopping_.load())
      work(/*may_sleep=*/true);
    if (polite_.load()) {
      server_->begin_shutdown();
      filler_.submit_all();
    }
    while (filler_.in_flight() > 0) {
      if (polite_.load()) {
        work(true);
        filler_.submit_all();
      } else {
        filler_.collect(monotonic_us());
      }
    }
    if (polite_.load()) server_->end_sessions(monotonic_us());
  }

  void work(bool may_sleep) {
    const std::uint32_t count = source_->receive(packets_);
    const std::uint64_t now_us = monotonic_us();
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t handle = batch_filler::buffer_handle(owner_, packets_[i].buffer);
      if (!server_->handle(packets_[i], handle, now_us)) source_->release(packets_[i].buffer);
    }
    int done = filler_.collect(now_us);
    done += filler_.submit_due(now_us);
    done += server_->do_work(now_us);
    if (count > 0 || done > 0 || !may_sleep) return;
    pollfd on{.fd = source_->poll_fd(), .events = POLLIN, .revents = 0};
    const timespec brief{.tv_sec = 0, .tv_nsec = 100'000};
    ppoll(&on, 1, &brief, nullptr);
  }

  std::unique_ptr<packet_source> source_;
  arena arena_;
  std::unique_ptr<reassembly_pool> reassemblies_;
  cookie_maker cookies_;
  source_buffers buffers_;
  batch_filler filler_;
  std::unique_ptr<record_server> server_;
  std::uint32_t owner_ = 0;
  std::array<received_packet, limits::burst_packets_max> packets_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> polite_{false};
  std::thread thread_;
};

}  // namespace millrace::testing_parts
