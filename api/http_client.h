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

/// What a client takes for the server it wants, over TLS 1.2 and 1.3. Immutable, thread-safe;
/// clients keep it.
class http_trust {
 public:
  /// Certificates that are vouched for by one of the PEM file `ca`, or without one by those that
  /// this machine trusts, and are of the host that was asked for. `invalid_argument` names the
  /// file.
  static result<std::shared_ptr<http_trust>> by_certificate(const std::string& ca);
  /// Whoever answers: the connection is encrypted, for nobody knows whom.
  static std::shared_ptr<http_trust> in_anybody();
  virtual ~http_trust() = default;
};

/// One thread. Keeps its connection between calls, and makes a new one when the server closed it.
class http_client {
 public:
  /// `host` is an address or a name; with `trust`, HTTP over TLS. Nothing is connected yet.
  static std::unique_ptr<http_client> create(const std::string& host, std::uint16_t port,
                                             std::shared_ptr<http_trust> trust = nullptr);
  virtual ~http_client() = default;

  /// What the Host header of every request says.
  virtual std::string host_header() const = 0;
  /// Connects now rather than at the first call; does nothing when it is connected.
  virtual status connect(std::uint64_t timeout_us) = 0;

  /// `unavailable` when nobody listens there, `permission` when it is not to be trusted (also of
  /// connect()), `timed_out`, or `io`. An answer of any status is a
  /// reply.
  virtual result<http_reply> call(const http_call& what) = 0;
  /// For a body without an end: `take` gets it as it comes, and ends the call with false or an
  /// error. An answer other than 2xx is a reply as of call(). `timeout_us` bounds the silence.
  virtual result<http_reply> stream(const http_call& what,
                                    const std::function<result<bool>(std::string_view)>& take) = 0;
};

}  // namespace millrace
