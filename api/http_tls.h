#pragma once
/// TLS 1.2 and 1.3 for the gate's connections, by OpenSSL, with ALPN for HTTP/2 and HTTP/1.1.
/// Nothing here waits for a socket: each step says what it has to wait for.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct ssl_st;

namespace millrace {

/// A certificate and its key. Immutable and thread-safe; connections keep what they need of it.
class tls_identity {
 public:
  /// From PEM texts: the certificate, followed by those that vouch for it, and its private key
  /// without a passphrase. `invalid_argument` when they are not that, or not of each other.
  static result<std::shared_ptr<const tls_identity>> create(const std::string& certificate,
                                                            const std::string& key);
  virtual ~tls_identity() = default;
  /// Whose certificate it is and until when, for a log.
  virtual const std::string& description() const = 0;
};

enum class tls_step : std::uint8_t {
  done,
  wants_read,   ///< again when the socket is readable
  wants_write,  ///< again when it takes bytes
  closed,       ///< the other side ended the connection
  failed
};

/// The server's end of one connection. One thread.
class tls_session {
 public:
  /// Over a non-blocking socket, which outlives it. Writing to a socket that the other side closed
  /// raises SIGPIPE in the calling thread: block it there. Null when memory has run out.
  static std::unique_ptr<tls_session> accept(const tls_identity& identity, int socket);
  ~tls_session();

  tls_step handshake();
  /// What ALPN agreed on: "h2" or "http/1.1"; empty when the client did not ask.
  std::string_view protocol() const;
  /// `bytes` is how many came or went, when done.
  tls_step read(char* to, std::size_t bytes_max, std::size_t& bytes);
  /// Whether read() may have something that the socket does not tell of.
  bool has_pending() const;
  tls_step write(std::string_view what, std::size_t& bytes);
  /// Tells the other side that nothing follows; it may not arrive.
  void finish_sending();

 private:
  explicit tls_session(ssl_st* ssl) : ssl_(ssl) {}
  tls_step step_of(int outcome);

  ssl_st* const ssl_;
  bool has_failed_ = false;
};

}  // namespace millrace
