#pragma once
/// The HTTP server of the data port: a few equal threads, each with its own acceptor on the one
/// port, its own connections and its own agent. Everything is bounded: connections, header bytes,
/// body bytes (in arena room that is reserved before they are read), and time without progress.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/body_pool.h"
#include "api/http_message.h"
#include "api/http_tls.h"
#include "api/spare_memory.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/waker.h"

namespace millrace {

/// A request as it lies in its connection's buffers; valid until it is answered.
struct gate_request {
  std::string_view method;
  std::string_view target;  ///< as sent
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  mutable_byte_view body;  ///< with body_padding bytes of room behind it

  /// The first header of that name, whatever its case; empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct gate_answer {
  unsigned status = 200;
  std::string_view content_type;
  http_fields headers;
  std::string body;
};

/// One request and its answer. On its connection's thread; kept by whoever will answer it.
class http_exchange {
 public:
  virtual ~http_exchange() = default;
  virtual const gate_request& request() const = 0;
  /// The room that holds the body: from now on the caller's, so that it may outlive the connection.
  virtual body_room take_body() = 0;
  /// The whole answer; once. Nothing happens when the client is gone.
  virtual void answer(gate_answer what) = 0;
  /// What its answer is counted under, below labels_max; 0 when nothing is said.
  void set_label(std::uint8_t label) { label_ = label; }
  static constexpr std::size_t labels_max = 64;

  /// An answer without a known end: head first, then pieces, then the end.
  virtual void begin_stream(unsigned status, std::string_view content_type,
                            http_fields headers) = 0;
  virtual void send(std::string piece) = 0;
  virtual void end_stream() = 0;
  /// False once the client is gone: nothing that is sent arrives any more.
  virtual bool is_open() const = 0;
  /// Bytes of send() that the client has not taken yet.
  virtual std::uint64_t unsent_bytes() const = 0;
  /// Calls `then` once, soon after those have become fewer than `bytes`; it must not answer here.
  virtual void when_unsent_below(std::uint64_t bytes, std::function<void()> then) = 0;

 protected:
  std::uint8_t label_ = 0;
};

/// What a thread of the gate serves. All calls are on that thread, but for the waker's.
class http_agent {
 public:
  virtual ~http_agent() = default;
  /// The head is there: true to read the body. False: the request has been answered, and the
  /// connection is closed after it.
  virtual bool admit(http_exchange& exchange, std::uint64_t body_bytes) = 0;
  virtual void handle(std::shared_ptr<http_exchange> exchange) = 0;
  /// One round; returns how much it did.
  virtual int do_work(std::uint64_t now_us) = 0;
  /// When do_work() is needed by time alone.
  virtual std::uint64_t next_due_us() const = 0;
  /// Asked between arming the waker and sleeping.
  virtual bool has_work() const = 0;
  virtual waker& wake() = 0;
  /// The gate is closing: no more requests come, and do_work() is called until this says true or
  /// patience ends.
  virtual bool drain(std::uint64_t now_us) = 0;
  /// The end: every exchange that is still held has to be let go.
  virtual void abandon() = 0;
};

struct http_gate_options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;                ///< 0: any free one
  std::uint32_t connections_max = 4096;  ///< of each thread; further ones are closed at once
  std::uint64_t body_bytes_max = 16 * limits::mib;  ///< more: 413
  std::uint64_t idle_timeout_us = 300'000'000;      ///< between requests
  std::uint64_t head_timeout_us = 20'000'000;       ///< from the first byte to the head's last
  std::uint64_t send_timeout_us = 30'000'000;       ///< an answer that the client does not take
  std::uint64_t room_patience_us =
      5'000'000;  ///< a body that finds no room waits so long; then 503
  std::uint64_t drain_us = 5'000'000;
  std::shared_ptr<const tls_identity> tls;  ///< null: no TLS
  bool plain_too = false;                   ///< with TLS: serve what comes without it as well
  std::vector<std::string> cors_origins;    ///< whose pages may use it: http_cors.h
  /// Bytes of answers that clients have not taken, over all threads; shared with who makes answers.
  std::shared_ptr<std::atomic<std::uint64_t>> unsent =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  /// Where the memory of large answers goes when they are sent; shared likewise.
  std::shared_ptr<spare_memory> spare = std::make_shared<spare_memory>();
  std::uint32_t handshakes_max = 512;  ///< under way in each thread; further ones are closed
  std::uint64_t handshake_timeout_us = 10'000'000;
};

struct http_gate_counters {
  std::uint64_t requests = 0;
  std::uint64_t connections = 0;          ///< now
  std::uint64_t connections_refused = 0;  ///< over connections_max
  std::uint64_t requests_refused = 0;     ///< malformed, too large, or no room
  std::uint64_t bodies_refused = 0;       ///< of these, the last two
  std::uint64_t timeouts = 0;             ///< connections closed for silence
  std::uint64_t handshakes = 0;           ///< of TLS, that went well
  std::uint64_t handshakes_failed = 0;
  std::uint64_t handshakes_refused = 0;  ///< over handshakes_max
  std::uint64_t bytes_received = 0;      ///< without what TLS adds
  std::uint64_t bytes_sent = 0;
  std::uint64_t unsent_bytes = 0;  ///< now: of answers that clients have not taken
  struct answer_count {
    std::uint8_t label = 0;
    unsigned status = 0;  ///< 0: one of the rare ones
    std::uint64_t count = 0;
  };
  std::vector<answer_count> answers;  ///< those that are not 0
};

class http_gate {
 public:
  /// Room behind a body, for readers that look ahead (simdjson, the hash of many keys at once).
  static constexpr std::uint32_t body_padding = 64;
  static constexpr std::uint32_t header_bytes_max = 16 * limits::kib;  ///< more: 431

  /// Listens and starts one thread for each agent. The agents and the pool outlive the gate.
  static result<std::unique_ptr<http_gate>> start(const http_gate_options& options,
                                                  const std::vector<http_agent*>& agents,
                                                  body_pool& bodies);
  virtual ~http_gate() = default;

  virtual std::uint16_t port() const = 0;
  virtual http_gate_counters counters() const = 0;
  /// For connections from now on. Thread-safe.
  virtual void set_identity(std::shared_ptr<const tls_identity> identity) = 0;
  /// Accepts nothing more, lets the agents drain, closes every connection, joins the threads.
  virtual void stop() = 0;
};

}  // namespace millrace
