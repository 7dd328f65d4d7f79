#pragma once
/// An HTTP/1.1 server for control and reading: one thread for all connections, a few workers for
/// handlers. Everything is bounded: connections, header and body bytes, and time without progress.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/http_message.h"
#include "base/error.h"
#include "base/limits.h"

namespace millrace {

struct http_server_options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;               ///< 0: any free one
  std::uint32_t connections_max = 256;  ///< further ones are closed at once, and counted
  std::uint32_t header_bytes_max = 16 * limits::kib;  ///< more: 431
  std::uint64_t body_bytes_max = limits::mib;         ///< more: 413
  std::uint64_t idle_timeout_us = 60'000'000;  ///< a connection that neither reads nor writes
  std::uint32_t workers = 4;
  /// Bodies that are made while they are sent, at once; further ones are refused with 503.
  std::uint32_t streams_max = 64;
  /// A client that takes nothing of such a body for so long is dropped, and counted.
  std::uint64_t stream_stall_us = 10'000'000;
  /// Paths answered on the connections' thread, so that busy workers cannot hold them up: their
  /// handler must not block.
  std::vector<std::string> quick_paths;
};

struct http_server_counters {
  std::uint64_t requests = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t connections = 0;  ///< now
  std::uint64_t streams = 0;      ///< now
  std::uint64_t streams_refused = 0;
  std::uint64_t streams_dropped = 0;  ///< their client took too long
};

class http_server {
 public:
  /// Called by several threads at once; must not throw.
  using handler = std::function<http_response(const http_request&)>;

  /// Listens and starts the threads.
  static result<std::unique_ptr<http_server>> start(const http_server_options& options,
                                                    handler handle);
  virtual ~http_server() = default;

  virtual std::uint16_t port() const = 0;
  virtual http_server_counters counters() const = 0;
  /// Closes every connection and joins the threads; a handler that runs is waited for.
  virtual void stop() = 0;
};

}  // namespace millrace
