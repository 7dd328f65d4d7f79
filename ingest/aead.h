#pragma once
/// The cryptography of the record protocol: AES-128-GCM datagrams, HKDF-SHA256 keys, HMAC-SHA256
/// cookies, random numbers. The one place that uses OpenSSL.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/types.h"
#include "ingest/keyring.h"

namespace millrace {

/// One direction's key. The nonce of a datagram is salt | packet number, so a packet number must
/// never be used twice with the same key.
struct aead_key {
  std::array<std::uint8_t, 16> key{};
  std::array<std::uint8_t, 4> salt{};

  friend bool operator==(const aead_key&, const aead_key&) = default;
};

struct session_keys {
  aead_key to_server;
  aead_key to_client;
};

/// Keys of a session, from its id and the client's nonce of its handshake.
session_keys derive_session_keys(const shared_key& shared, std::uint64_t session,
                                 std::uint64_t client_nonce);
/// Keys of one OPEN and of the RESET that may answer it, from the OPEN's random packet number and
/// client nonce: 128 random bits, so that no two OPENs share a key and nonce.
session_keys derive_open_keys(const shared_key& shared, std::uint64_t packet_number,
                              std::uint64_t client_nonce);

/// RFC 5869 with SHA-256; `out` is at most 32 bytes.
void hkdf_sha256(byte_view secret, byte_view salt, std::string_view info, mutable_byte_view out);
/// HMAC-SHA256.
std::array<std::byte, 32> hmac_sha256(byte_view key, byte_view message);
std::array<std::byte, 32> sha256(byte_view message);
/// Compares in constant time, but for the lengths.
bool same_bytes(byte_view a, byte_view b);
/// Unpredictable bytes.
void fill_random(mutable_byte_view out);
std::uint64_t random_u64();

/// Seals and opens datagrams. Keeps the key schedules of the keys used lately, so that a session
/// need not. One thread.
class aead_engine {
 public:
  aead_engine();
  ~aead_engine();
  aead_engine(aead_engine&&) noexcept;
  aead_engine& operator=(aead_engine&&) noexcept;

  /// Encrypts `data` in place and writes the 16-byte tag to `tag`.
  void seal(const aead_key& key, std::uint64_t packet_number, byte_view associated,
            mutable_byte_view data, std::byte* tag);
  /// Decrypts `data` in place. False: the tag does not fit, and `data` is garbage.
  [[nodiscard]] bool open(const aead_key& key, std::uint64_t packet_number, byte_view associated,
                          mutable_byte_view data, const std::byte* tag);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace
