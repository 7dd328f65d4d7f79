#pragma once
/// Encryption at rest: AES-256-GCM over the runs of a block. docs/log_format.md has the format,
/// docs/decisions/0004-encryption-at-rest.md why no nonce is ever used twice.
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/types.h"
#include "shards/log_format.h"
#include "shards/log_keyring.h"

namespace millrace {

/// What a run is bound to: moved to another place it does not open.
struct run_place {
  stream_id stream{};
  shard_index shard{};
  record_index first{};
  std::uint32_t record_count = 0;
};

/// Encrypts runs under one key. Has a salt of its own, drawn when it is made, and counts what it
/// seals: its nonces. Never copied. One thread.
class run_sealer {
 public:
  explicit run_sealer(const log_key& key);
  ~run_sealer();
  run_sealer(const run_sealer&) = delete;
  run_sealer& operator=(const run_sealer&) = delete;

  std::uint32_t key_id() const { return key_id_; }
  /// Encrypts `run` in place and writes the run_seal behind it, where there is room for it.
  void seal(const run_place& place, mutable_byte_view run);

 private:
  struct state;
  const std::uint32_t key_id_;
  std::array<std::byte, log_format::seal_salt_bytes> salt_{};
  std::uint64_t count_ = 0;
  std::unique_ptr<state> state_;
};

/// Decrypts runs. Keeps the keys it has derived lately. Thread-safe.
class run_opener {
 public:
  /// `keyring` may be null: then nothing opens.
  explicit run_opener(std::shared_ptr<const log_keyring> keyring) : keyring_(std::move(keyring)) {}

  /// Decrypts `sealed`, a run with its run_seal, into `into`, which has run_bytes(sealed) bytes.
  /// `permission` when the keyring does not have its key, or not enabled; `corrupt` when it does
  /// not open: it was changed, or sealed under another secret of that id, or for another place.
  status open(const run_place& place, byte_view sealed, std::byte* into) const;
  static std::uint64_t run_bytes(byte_view sealed) {
    return sealed.size() - sizeof(log_format::run_seal);
  }
  const log_keyring* keyring() const { return keyring_.get(); }

 private:
  using data_key = std::array<std::byte, 32>;
  using salt = std::array<std::byte, log_format::seal_salt_bytes>;
  data_key key_for(const log_key& key, const salt& of) const;

  const std::shared_ptr<const log_keyring> keyring_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<std::uint32_t, salt>, data_key> derived_;
};

/// Whether `key`, which may be null, can be used now; the error names `id`.
status check_key(const log_key* key, std::uint32_t id);

}  // namespace millrace
