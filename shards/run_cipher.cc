#include "shards/run_cipher.h"

#include <cstring>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/endian.h"
#include "ingest/aead.h"

namespace millrace {
namespace {

using namespace log_format;

constexpr int nonce_bytes = 12;
constexpr int tag_bytes = 16;
constexpr std::size_t derived_max = 1024;

struct context_end {
  void operator()(EVP_CIPHER_CTX* one) const { EVP_CIPHER_CTX_free(one); }
};
using context = std::unique_ptr<EVP_CIPHER_CTX, context_end>;

/// The additional data: little-endian, without padding.
using place_bytes = std::array<std::byte, 28>;
place_bytes bytes_of(const run_place& place, std::uint32_t key_id) {
  place_bytes out{};
  store(out.data(), std::uint64_t{place.stream.value});
  store(out.data() + 8, std::uint32_t{place.shard.value});
  store(out.data() + 12, std::uint64_t{place.first.value});
  store(out.data() + 20, place.record_count);
  store(out.data() + 24, key_id);
  return out;
}

std::array<std::byte, 32> derive(const log_key& key, byte_view salt) {
  std::array<std::byte, 32> out;
  hkdf_sha256(key.secret, salt, "millrace 1 log", out);
  return out;
}

const unsigned char* octets(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}
unsigned char* octets(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

std::array<std::byte, nonce_bytes> nonce_of(std::uint64_t count) {
  std::array<std::byte, nonce_bytes> nonce{};
  store(nonce.data() + 4, count);
  return nonce;
}

}  // namespace

struct run_sealer::state {
  context with{EVP_CIPHER_CTX_new()};
};

run_sealer::run_sealer(const log_key& key) : key_id_(key.id), state_(std::make_unique<state>()) {
  fill_random(salt_);
  const auto secret = derive(key, salt_);
  MILLRACE_CHECK(EVP_EncryptInit_ex(state_->with.get(), EVP_aes_256_gcm(), nullptr,
                                    octets(secret.data()), nullptr) == 1,
                 "AES-256-GCM is not available");
}

run_sealer::~run_sealer() = default;

void run_sealer::seal(const run_place& place, mutable_byte_view run) {
  run_seal seal{};
  std::memcpy(seal.salt, salt_.data(), salt_.size());
  seal.count = count_++;
  seal.key_id = key_id_;
  const auto nonce = nonce_of(seal.count);
  const place_bytes bound = bytes_of(place, key_id_);
  EVP_CIPHER_CTX* const with = state_->with.get();
  int done = 0;
  bool good = EVP_EncryptInit_ex(with, nullptr, nullptr, nullptr, octets(nonce.data())) == 1;
  good = good && EVP_EncryptUpdate(with, nullptr, &done, octets(bound.data()),
                                   static_cast<int>(bound.size())) == 1;
  good = good && EVP_EncryptUpdate(with, octets(run.data()), &done, octets(run.data()),
                                   static_cast<int>(run.size())) == 1;
  good = good && EVP_EncryptFinal_ex(with, octets(run.data()), &done) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(with, EVP_CTRL_GCM_GET_TAG, tag_bytes, seal.tag) == 1;
  MILLRACE_CHECK(good, "sealing with AES-256-GCM failed");
  store(run.data() + run.size(), seal);
}

run_opener::data_key run_opener::key_for(const log_key& key, const salt& of) const {
  std::lock_guard lock(mutex_);
  const auto found = derived_.find({key.id, of});
  if (found != derived_.end()) return found->second;
  if (derived_.size() >= derived_max) derived_.clear();
  return derived_.emplace(std::pair(key.id, of), derive(key, of)).first->second;
}

status run_opener::open(const run_place& place, byte_view sealed, std::byte* into) const {
  const auto where = [&] {
    return "shard " + std::to_string(place.shard.value) + ": records from " +
           std::to_string(place.first.value) + " on: ";
  };
  if (sealed.size() < sizeof(run_seal))
    return error(error_code::corrupt, where() + "encrypted, and too short for it");
  const std::uint64_t bytes = run_bytes(sealed);
  auto seal = load<run_seal>(sealed.data() + bytes);
  const log_key* const key = keyring_ != nullptr ? keyring_->find(seal.key_id) : nullptr;
  if (status usable = check_key(key, seal.key_id); !usable.ok())
    return std::move(usable).failure().with_context(where() + "encrypted");

  salt of;
  std::memcpy(of.data(), seal.salt, of.size());
  const data_key secret = key_for(*key, of);
  const auto nonce = nonce_of(seal.count);
  const place_bytes bound = bytes_of(place, seal.key_id);
  const context with(EVP_CIPHER_CTX_new());
  int done = 0;
  bool good = EVP_DecryptInit_ex(with.get(), EVP_aes_256_gcm(), nullptr, octets(secret.data()),
                                 octets(nonce.data())) == 1;
  good = good && EVP_DecryptUpdate(with.get(), nullptr, &done, octets(bound.data()),
                                   static_cast<int>(bound.size())) == 1;
  good = good && EVP_DecryptUpdate(with.get(), octets(into), &done, octets(sealed.data()),
                                   static_cast<int>(bytes)) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(with.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, seal.tag) == 1;
  good = good && EVP_DecryptFinal_ex(with.get(), octets(into) + bytes, &done) == 1;
  if (good) return {};
  return error(error_code::corrupt, where() + "they do not open with key " +
                                        std::to_string(seal.key_id) +
                                        ": changed, or sealed under another secret");
}

status check_key(const log_key* key, std::uint32_t id) {
  const std::string name = "key " + std::to_string(id) + " of encryption at rest ";
  if (key == nullptr) return error(error_code::permission, name + "is not in the keyring");
  if (key->state == log_key_state::enabled) return {};
  return error(
      error_code::permission,
      name + (key->state == log_key_state::disabled ? "is disabled" : "is pending deletion"));
}

}  // namespace millrace
