#pragma once
/// A small HTTP/1.1 client for the command line's own use: one connection, one request at a time.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/http_message.h"
#include "base/error.h"

namespace millrace {

struct http_call {
  std::string method = "GET";
  std::string target = "/";  ///< path and query, percent-encoded
  http_fields headers{};
  std::string_view body{};  ///< good until the call is over
  std::uint64_t timeout_us = 60'000'000;
};

struct http_reply {
  unsigned status = 0;
  std::string body{};
};

/// One thread. Keeps its connection between calls, and makes a new one when the server closed it.
class http_client {
 public:
  /// `host` is an address or a name. Nothing is connected yet.
  static std::unique_ptr<http_client> create(const std::string& host, std::uint16_t port);
  virtual ~http_client() = default;

  /// What the Host header of every request says.
  virtual std::string host_header() const = 0;
  /// Connects now rather than at the first call; does nothing when it is connected.
  virtual status connect(std::uint64_t timeout_us) = 0;

  /// `unavailable` when nobody listens there, `timed_out`, or `io`. An answer of any status is a
  /// reply.
  virtual result<http_reply> call(const http_call& what) = 0;
  /// For a body without an end: `take` gets it as it comes, and ends the call with false or an
  /// error. An answer other than 2xx is a reply as of call(). `timeout_us` bounds the silence.
  virtual result<http_reply> stream(const http_call& what,
                                    const std::function<result<bool>(std::string_view)>& take) = 0;
};

}  // namespace millrace
