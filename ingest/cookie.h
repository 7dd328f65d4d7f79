#pragma once
/// Cookies of the handshake: proof that a client receives what is sent to its address. The server
/// keeps nothing for them.
#include <array>
#include <cstdint>

#include "ingest/packet_source.h"
#include "ingest/wire_format.h"

namespace millrace {

/// HMAC-SHA256, cut to 16 bytes, over time, client address and port, and client nonce, under 256
/// random bits of this process. The key never leaves the process and covers the time, so that it
/// needs no rotation. Immutable: all doors share one, thread-safe.
class cookie_maker {
 public:
  /// With a random secret.
  cookie_maker();
  explicit cookie_maker(const std::array<std::byte, 32>& secret) : secret_(secret) {}

  wire::cookie_payload make(const endpoint& client, std::uint64_t client_nonce,
                            std::uint64_t now_us) const;
  /// True for a cookie made for this client within the last lifetime_s seconds. `now_us` is of the
  /// clock that make() was given.
  bool check(const wire::cookie_payload& cookie, const endpoint& client,
             std::uint64_t now_us) const;

  static constexpr std::uint64_t lifetime_s = 10;

 private:
  std::array<std::byte, 16> mac(const wire::cookie_payload& cookie, const endpoint& client) const;
  std::array<std::byte, 32> secret_;
};

}  // namespace millrace
