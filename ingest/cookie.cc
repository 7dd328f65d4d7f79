#include "ingest/cookie.h"

#include <cstring>

#include "base/endian.h"
#include "ingest/aead.h"

namespace millrace {

cookie_maker::cookie_maker() {
  fill_random(secret_);
}

std::array<std::byte, 16> cookie_maker::mac(const wire::cookie_payload& cookie,
                                            const endpoint& client) const {
  // Address and port only: the link address may change with a route, the client stays the same.
  std::array<std::byte, 36> message{};
  store(message.data(), cookie.time_s);
  store(message.data() + 8, cookie.client_nonce);
  store(message.data() + 16, client.address);
  store(message.data() + 32, client.port);
  message[34] = std::byte{client.family};
  const auto whole = hmac_sha256(secret_, message);
  std::array<std::byte, 16> cut;
  std::memcpy(cut.data(), whole.data(), cut.size());
  return cut;
}

wire::cookie_payload cookie_maker::make(const endpoint& client, std::uint64_t client_nonce,
                                        std::uint64_t now_us) const {
  wire::cookie_payload cookie{
      .client_nonce = client_nonce, .time_s = now_us / 1'000'000, .mac = {}};
  const auto made = mac(cookie, client);
  std::memcpy(cookie.mac, made.data(), made.size());
  return cookie;
}

bool cookie_maker::check(const wire::cookie_payload& cookie, const endpoint& client,
                         std::uint64_t now_us) const {
  const std::uint64_t now_s = now_us / 1'000'000;
  if (cookie.time_s > now_s || now_s - cookie.time_s > lifetime_s) return false;
  const auto expected = mac(cookie, client);
  return same_bytes(expected, std::as_bytes(std::span(cookie.mac)));
}

}  // namespace millrace
