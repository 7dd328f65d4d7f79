#pragma once
/// What doors see of a stream: the queue into it, and whether it is idle or blocked.
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/ids.h"
#include "base/record_batch.h"

namespace millrace {

/// Thread-safe. Lives as long as the pipeline, also when the stream is deleted: a door may still
/// hold its id.
class stream_port {
 public:
  explicit stream_port(std::uint32_t batches_max) : waiting_(batches_max) {}

  enum class pushed {
    first,  ///< taken; nothing else was outstanding, so the agent may not be looking
    taken,
    full,    ///< not taken, untouched
    closed,  ///< not taken, untouched; see closed_as()
  };
  /// Takes a batch in state `filling`; it becomes `submitted`.
  pushed push(record_batch& batch);
  /// The oldest waiting batch, or null.
  record_batch* pop();
  /// The oldest waiting batch stays; null when there is none.
  const record_batch* front() const;
  /// No more batches; what waits stays poppable. The first reason stays.
  void close(outcome why);
  outcome closed_as() const;

  /// Called once for each batch that was pushed, before its home has it.
  void ended() { outstanding_.fetch_sub(1, std::memory_order_release); }
  /// Pushed and not ended.
  std::uint32_t outstanding() const { return outstanding_.load(std::memory_order_acquire); }

  bool is_blocked() const { return blocked_.load(std::memory_order_relaxed); }
  void set_blocked(bool blocked) { blocked_.store(blocked, std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  std::vector<record_batch*> waiting_;  // a ring
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  outcome closed_ = outcome::pending;
  std::atomic<std::uint32_t> outstanding_{0};
  std::atomic<bool> blocked_{false};
};

/// Ports by stream id: found without a lock, because doors ask all the time. Ids are never reused,
/// so neither are places; creating a stream beyond `streams_ever_max` is refused.
class port_table {
 public:
  static constexpr std::uint32_t chunk_ports = 1024;
  static constexpr std::uint32_t chunks_max = 4096;
  static constexpr std::uint32_t streams_ever_max = chunk_ports * chunks_max;

  port_table() = default;
  port_table(const port_table&) = delete;
  port_table& operator=(const port_table&) = delete;
  ~port_table();

  /// Null when there has been no such stream. Thread-safe.
  stream_port* find(stream_id id) const;
  /// One thread at a time.
  stream_port& add(stream_id id, std::uint32_t batches_max);

 private:
  using chunk = std::array<std::atomic<stream_port*>, chunk_ports>;
  std::array<std::atomic<chunk*>, chunks_max> chunks_{};
  std::vector<std::unique_ptr<stream_port>> ports_;
};

}  // namespace millrace
