#pragma once
/// A door: one packet source, the record server and raw listeners on its ports, and their batches.
/// One thread, or whoever calls do_work(); everything it owns belongs to that thread.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"
#include "base/counters.h"
#include "base/waker.h"
#include "ingest/batch_filler.h"
#include "ingest/door_mesh.h"
#include "ingest/packet_handler.h"
#include "ingest/record_server.h"

namespace millrace {

struct door_options {
  record_server_options server;
  batch_filler_options batches;
  std::uint32_t reassemblies = limits::reassemblies_max;  ///< buffers of 10 MiB each
  bool busy_poll = false;                 ///< never sleep; implied by a source without a descriptor
  std::uint64_t shutdown_us = 5'000'000;  ///< stop() waits so long for batches in flight
};

/// What doors share; all outlive them.
struct door_parts {
  arena& memory;
  batch_sink& sink;
  const cookie_maker& cookies;
  result_lookup* lookup = nullptr;  ///< null: results of earlier sessions are not known
  door_mesh* mesh = nullptr;        ///< null: this is the only door
};

class door {
 public:
  /// Carves its buffers from the arena. Handlers are added before start().
  static result<std::unique_ptr<door>> create(const door_parts& parts,
                                              std::unique_ptr<packet_source> source,
                                              const door_options& options);
  ~door();

  /// Packets of `listener` go to `handler` instead of the record server. It must outlive the door's
  /// last do_work().
  void set_handler(std::uint16_t listener, packet_handler& handler);

  /// Runs do_work() on a thread of its own, sleeping while there is nothing to do.
  void start();
  /// Stops accepting, lets batches in flight become durable, tells every client, ends the thread.
  /// Also without start(): then the caller's thread does it.
  void stop();

  /// One round: packets, finished batches, timers, submissions. Returns how much it did. Called by
  /// the thread, or by tests with a time of their own.
  int do_work(std::uint64_t now_us);
  /// When do_work() is needed though nothing arrives; UINT64_MAX: not before something does.
  std::uint64_t next_due_us() const;

  batch_filler& filler() { return *filler_; }
  record_server& server() { return *server_; }
  packet_source& source() { return *source_; }
  counter_set& counters() { return counters_; }

 private:
  door(const door_parts& parts, std::unique_ptr<packet_source> source, const door_options& options);
  void run();
  void wait(std::uint64_t now_us);
  void drain();
  bool has_work() const;
  int receive(std::uint64_t now_us);
  void dispatch(const received_packet& packet, std::uint32_t owner, std::uint64_t now_us);
  void set_gauges(std::uint64_t now_us);

  /// Gives buffers back to the source; it has the first owner number.
  class source_owner final : public buffer_owner {
   public:
    explicit source_owner(packet_source& source) : source_(source) {}
    void release(std::uint64_t value) override { source_.release(value); }

   private:
    packet_source& source_;
  };

  door_options options_;
  counter_set counters_;
  waker waker_;
  std::unique_ptr<packet_source> source_;
  source_owner source_owner_;
  std::unique_ptr<reassembly_pool> reassemblies_;
  std::unique_ptr<batch_filler> filler_;
  door_mesh* mesh_ = nullptr;
  std::unique_ptr<door_inbox> inbox_;
  std::uint32_t inbox_owner_ = 0;
  std::unique_ptr<record_server> server_;
  std::vector<packet_handler*> handlers_;
  std::vector<received_packet> burst_;
  source_counters counted_;
  std::uint64_t next_gauges_us_ = 0;
  std::uint64_t stalled_before_ = 0;
  std::atomic<bool> is_stopping_{false};
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace millrace
