#pragma once
/// What lies between the sockets of the gate and its agents: a session turns the bytes of one
/// connection into exchanges. All on the connection's thread.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "api/http_gate.h"

namespace millrace {

/// A connection's bytes. One read and one write at a time; what they refer to stays until they end.
class byte_link {
 public:
  virtual ~byte_link() = default;
  virtual void read_some(char* to, std::size_t bytes_max) = 0;
  virtual void write(std::string_view first, std::string_view second) = 0;
  /// The other side sees the end after what was written.
  virtual void finish_sending() = 0;
  virtual void close() = 0;
};

/// Counted by one thread, read by any.
struct gate_counts {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> connections_refused{0};
  std::atomic<std::uint64_t> requests_refused{0};
  std::atomic<std::uint64_t> timeouts{0};
};

/// What sessions of one thread share.
struct session_ground {
  const http_gate_options& options;
  http_agent& agent;
  body_pool& bodies;
  gate_counts& counts;
};

class http_session : public http_exchange {
 public:
  /// The first bytes of the connection are already here.
  virtual void start(std::string_view first_bytes) = 0;
  virtual void on_read(std::size_t bytes) = 0;
  virtual void on_written() = 0;
  /// The link is gone.
  virtual void on_closed() = 0;
  /// Deadlines, and bodies that wait for room. Closes the link when one is over.
  virtual void tick(std::uint64_t now_us) = 0;
  /// Waits for room, so that tick() should come soon.
  virtual bool is_waiting() const = 0;
};

/// HTTP/1.1. `owner` keeps the session and its link alive as long as an exchange is held.
std::unique_ptr<http_session> make_http1_session(const session_ground& ground, byte_link& link,
                                                 std::weak_ptr<void> owner);

}  // namespace millrace
