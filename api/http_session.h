#pragma once
/// What lies between the sockets of the gate and its agents: a session turns the bytes of one
/// connection into exchanges. All on the connection's thread.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/http_gate.h"

namespace millrace {

/// A request that asked, in HTTP/1.1, to be answered in HTTP/2 (RFC 7540, 3.2).
struct http2_upgrade {
  std::string settings;  ///< of its HTTP2-Settings header, decoded
  std::string method;
  std::string target;
  http_fields headers;
  body_room room;  ///< its body is the first `body_bytes`
  std::uint64_t body_bytes = 0;
  std::string first_bytes;  ///< what the client sent behind it
};

/// A connection's bytes. One read and one write at a time; what they refer to stays until they end.
class byte_link {
 public:
  virtual ~byte_link() = default;
  /// Into room of the session's: on_read() says how much.
  virtual void read_some(char* to, std::size_t bytes_max) = 0;
  /// Waits without room of anybody's: on_bytes() has what came.
  virtual void read_any(std::size_t bytes_max) = 0;
  virtual void write(std::string_view first, std::string_view second) = 0;
  /// The other side sees the end after what was written.
  virtual void finish_sending() = 0;
  virtual void close() = 0;
  /// It is not as safe as this port wants it: whatever is asked is refused.
  virtual bool is_refused() const = 0;
  /// Goes on as HTTP/2, soon: the session that asks for it hears no more.
  virtual void become_http2(http2_upgrade what) = 0;
};

/// Statuses that are counted apart.
inline constexpr std::array<unsigned, 10> counted_statuses{200, 400, 403, 404, 411,
                                                           413, 431, 500, 503, 0};

/// Counted by one thread, read by any.
struct gate_counts {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> connections_refused{0};
  std::atomic<std::uint64_t> requests_refused{0};
  std::atomic<std::uint64_t> bodies_refused{0};
  std::atomic<std::uint64_t> timeouts{0};
  std::atomic<std::uint64_t> handshakes{0};
  std::atomic<std::uint64_t> handshakes_failed{0};
  std::atomic<std::uint64_t> handshakes_refused{0};
  std::atomic<std::uint64_t> bytes_received{0};
  std::atomic<std::uint64_t> bytes_sent{0};
  /// By label and status.
  std::array<std::array<std::atomic<std::uint64_t>, counted_statuses.size()>,
             http_exchange::labels_max>
      answers{};
};

/// By the one thread that counts.
inline void count(std::atomic<std::uint64_t>& what, std::uint64_t n = 1) {
  what.store(what.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

void count_answer(gate_counts& counts, std::uint8_t label, unsigned status);
/// A request that is refused with that status before an agent hears of it.
void count_refusal(gate_counts& counts, unsigned status);

/// What sessions of one thread share.
struct session_ground {
  const http_gate_options& options;
  http_agent& agent;
  body_pool& bodies;
  gate_counts& counts;
};

/// What one exchange has in the bytes of answers that are not sent yet.
class unsent_share {
 public:
  explicit unsent_share(const http_gate_options& options) : all_(*options.unsent) {}
  ~unsent_share() { clear(); }
  unsent_share(const unsent_share&) = delete;
  unsent_share& operator=(const unsent_share&) = delete;

  void add(std::uint64_t bytes) {
    mine_ += bytes;
    all_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void take(std::uint64_t bytes) {
    bytes = std::min(bytes, mine_);
    mine_ -= bytes;
    all_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  void clear() { take(mine_); }
  std::uint64_t bytes() const { return mine_; }

 private:
  std::atomic<std::uint64_t>& all_;
  std::uint64_t mine_ = 0;
};

/// Something to be done once, when a number has become small enough.
class drain_call {
 public:
  void set(std::uint64_t below, std::function<void()> then) {
    below_ = below;
    then_ = std::move(then);
  }
  void look(std::uint64_t now) {
    if (then_ && now < below_) std::exchange(then_, nullptr)();
  }

 private:
  std::uint64_t below_ = 0;
  std::function<void()> then_;
};

/// Gives its memory back, which assigning an empty one would not.
inline void let_go_of(std::string& text) {
  std::string().swap(text);
}

class http_session {
 public:
  virtual ~http_session() = default;
  /// The first bytes of the connection are already here.
  virtual void start(std::string_view first_bytes) = 0;
  /// After read_some().
  virtual void on_read(std::size_t) {}
  /// After read_any(): in a buffer that the thread's connections share, until this returns.
  virtual void on_bytes(std::string_view bytes) = 0;
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

/// HTTP/2, from its preface on. Exchanges stay good, and do nothing, when their stream is gone.
/// `upgrade`: the request that comes before it, if there is one.
std::unique_ptr<http_session> make_http2_session(const session_ground& ground, byte_link& link,
                                                 std::optional<http2_upgrade> upgrade = {});

/// What every HTTP/2 client sends first.
inline constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is refused before an agent hears of it.
gate_answer refusal_of(unsigned status, std::string_view why);

}  // namespace millrace
