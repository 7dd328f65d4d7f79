#include "ingest/aead.h"

#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/endian.h"
#include "ingest/wire_format.h"

namespace millrace {
namespace {

const unsigned char* octets(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}
unsigned char* octets(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

aead_key derive(const shared_key& shared, std::uint64_t first, std::uint64_t second,
                std::string_view info) {
  std::array<std::byte, 16> salt;
  store(salt.data(), first);
  store(salt.data() + 8, second);
  std::array<std::byte, 20> out;
  hkdf_sha256(std::as_bytes(std::span(shared.secret)), salt, info, out);
  aead_key key;
  std::memcpy(key.key.data(), out.data(), key.key.size());
  std::memcpy(key.salt.data(), out.data() + key.key.size(), key.salt.size());
  return key;
}

/// SHA-256 by a context that is kept: looking the algorithm up and making a context, as the calls
/// of one line do each time, costs more than hashing a few hundred bytes.
class sha256_hasher {
 public:
  static constexpr std::size_t block_bytes = 64;

  sha256_hasher()
      : algorithm_(EVP_MD_fetch(nullptr, "SHA2-256", nullptr)), context_(EVP_MD_CTX_new()) {
    MILLRACE_CHECK(algorithm_ != nullptr && context_ != nullptr, "SHA-256 is not available");
  }
  ~sha256_hasher() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  sha256_hasher(const sha256_hasher&) = delete;
  sha256_hasher& operator=(const sha256_hasher&) = delete;

  /// Of one message in two parts.
  std::array<std::byte, 32> digest(byte_view first, byte_view second) {
    std::array<std::byte, 32> out;
    const bool done = EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1 &&
                      EVP_DigestUpdate(context_, first.data(), first.size()) == 1 &&
                      EVP_DigestUpdate(context_, second.data(), second.size()) == 1 &&
                      EVP_DigestFinal_ex(context_, octets(out.data()), nullptr) == 1;
    MILLRACE_CHECK(done, "SHA-256 does not hash");
    return out;
  }

 private:
  EVP_MD* const algorithm_;
  EVP_MD_CTX* const context_;
};

sha256_hasher& hasher_of_this_thread() {
  thread_local sha256_hasher one;
  return one;
}

}  // namespace

session_keys derive_session_keys(const shared_key& shared, std::uint64_t session,
                                 std::uint64_t client_nonce) {
  return {.to_server = derive(shared, session, client_nonce, "millrace 1 session to server"),
          .to_client = derive(shared, session, client_nonce, "millrace 1 session to client")};
}

session_keys derive_open_keys(const shared_key& shared, std::uint64_t packet_number,
                              std::uint64_t client_nonce) {
  return {.to_server = derive(shared, packet_number, client_nonce, "millrace 1 open to server"),
          .to_client = derive(shared, packet_number, client_nonce, "millrace 1 open to client")};
}

std::array<std::byte, 32> sha256(byte_view message) {
  return hasher_of_this_thread().digest(message, {});
}

// RFC 2104.
std::array<std::byte, 32> hmac_sha256(byte_view key, byte_view message) {
  sha256_hasher& hasher = hasher_of_this_thread();
  std::array<std::byte, sha256_hasher::block_bytes> block{};
  if (key.size() > block.size()) {
    const auto digest = hasher.digest(key, {});
    std::memcpy(block.data(), digest.data(), digest.size());
  } else if (!key.empty()) {
    std::memcpy(block.data(), key.data(), key.size());
  }
  const auto turn = [&](std::byte by) {
    for (std::byte& one : block)
      one ^= by;
  };
  turn(std::byte{0x36});
  const auto inner = hasher.digest(block, message);
  turn(std::byte{0x36} ^ std::byte{0x5c});
  const auto mac = hasher.digest(block, inner);
  OPENSSL_cleanse(block.data(), block.size());
  return mac;
}

void hkdf_sha256(byte_view secret, byte_view salt, std::string_view info, mutable_byte_view out) {
  MILLRACE_CHECK(out.size() <= 32 && info.size() < 127, "HKDF of more than one block");
  const auto extracted = hmac_sha256(salt, secret);
  std::array<std::byte, 128> block;
  std::memcpy(block.data(), info.data(), info.size());
  block[info.size()] = std::byte{1};
  const auto expanded = hmac_sha256(extracted, byte_view(block.data(), info.size() + 1));
  std::memcpy(out.data(), expanded.data(), out.size());
}

bool same_bytes(byte_view a, byte_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void fill_random(mutable_byte_view out) {
  const int done = RAND_bytes(octets(out.data()), static_cast<int>(out.size()));
  MILLRACE_CHECK(done == 1, "the system gives no random numbers");
}

std::uint64_t random_u64() {
  std::array<std::byte, 8> bytes;
  fill_random(bytes);
  return load<std::uint64_t>(bytes.data());
}

/// Key schedules used lately, found by a few bits of the key: a session keeps 40 bytes and no more.
struct aead_engine::state {
  static constexpr std::size_t slots_max = 64;
  struct slot {
    EVP_CIPHER_CTX* context = nullptr;
    aead_key key;
    int encrypts = -1;
  };
  std::array<slot, slots_max> slots;
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);

  state() { MILLRACE_CHECK(cipher != nullptr, "AES-128-GCM is not available"); }
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  ~state() {
    for (slot& one : slots) {
      EVP_CIPHER_CTX_free(one.context);
      OPENSSL_cleanse(one.key.key.data(), one.key.key.size());
    }
    EVP_CIPHER_free(cipher);
  }

  EVP_CIPHER_CTX* context_for(const aead_key& key, int encrypts, std::uint64_t packet_number) {
    slot& one = slots[load<std::uint64_t>(key.key.data()) % slots_max];
    unsigned char nonce[12];
    std::memcpy(nonce, key.salt.data(), key.salt.size());
    store(nonce + 4, packet_number);
    const bool known = one.context != nullptr && one.encrypts == encrypts && one.key == key;
    if (!known) {
      if (!one.context) one.context = EVP_CIPHER_CTX_new();
      MILLRACE_CHECK(one.context != nullptr, "out of memory for a cipher");
      one.key = key;
      one.encrypts = encrypts;
    }
    const int done = EVP_CipherInit_ex(one.context, known ? nullptr : cipher, nullptr,
                                       known ? nullptr : key.key.data(), nonce, encrypts);
    MILLRACE_CHECK(done == 1, "AES-128-GCM does not start");
    return one.context;
  }
};

aead_engine::aead_engine() : state_(std::make_unique<state>()) {}
aead_engine::~aead_engine() = default;
aead_engine::aead_engine(aead_engine&&) noexcept = default;
aead_engine& aead_engine::operator=(aead_engine&&) noexcept = default;

void aead_engine::seal(const aead_key& key, std::uint64_t packet_number, byte_view associated,
                       mutable_byte_view data, std::byte* tag) {
  EVP_CIPHER_CTX* context = state_->context_for(key, 1, packet_number);
  int written = 0;
  int ok = EVP_CipherUpdate(context, nullptr, &written, octets(associated.data()),
                            static_cast<int>(associated.size()));
  if (!data.empty()) {
    ok &= EVP_CipherUpdate(context, octets(data.data()), &written, octets(data.data()),
                           static_cast<int>(data.size()));
  }
  unsigned char none[16];
  ok &= EVP_CipherFinal_ex(context, none, &written);
  ok &= EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, wire::tag_bytes, tag);
  MILLRACE_CHECK(ok == 1, "AES-128-GCM does not seal");
}

bool aead_engine::open(const aead_key& key, std::uint64_t packet_number, byte_view associated,
                       mutable_byte_view data, const std::byte* tag) {
  EVP_CIPHER_CTX* context = state_->context_for(key, 0, packet_number);
  int written = 0;
  int ok = EVP_CipherUpdate(context, nullptr, &written, octets(associated.data()),
                            static_cast<int>(associated.size()));
  if (!data.empty()) {
    ok &= EVP_CipherUpdate(context, octets(data.data()), &written, octets(data.data()),
                           static_cast<int>(data.size()));
  }
  unsigned char expected[wire::tag_bytes];
  std::memcpy(expected, tag, sizeof expected);
  ok &= EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, wire::tag_bytes, expected);
  unsigned char none[16];
  return ok == 1 && EVP_CipherFinal_ex(context, none, &written) == 1;
}

}  // namespace millrace
