#include "api/http_tls.h"

#include <array>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace millrace {
namespace {

/// In the order of preference, as ALPN writes them.
constexpr std::array<unsigned char, 12> protocols{2,   'h', '2', 8,   'h', 't',
                                                  't', 'p', '/', '1', '.', '1'};
/// Of TLS 1.2: with forward secrecy and authenticated encryption alone, which HTTP/2 asks for too.
constexpr const char* ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using bio_pointer = std::unique_ptr<BIO, freed_by<BIO_free>>;
using certificate_pointer = std::unique_ptr<X509, freed_by<X509_free>>;
using key_pointer = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using context_pointer = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;

error bad_identity(const std::string& what) {
  std::array<char, 256> reason{};
  const unsigned long code = ERR_get_error();
  ERR_error_string_n(code, reason.data(), reason.size());
  ERR_clear_error();
  return {error_code::invalid_argument, code == 0 ? what : what + ": " + reason.data()};
}

bio_pointer reading(const std::string& text) {
  return bio_pointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// A key with a passphrase is refused, not asked for on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                    const unsigned char* offered, unsigned int offered_bytes, void*) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_bytes, protocols.data(), protocols.size(), offered,
                            offered_bytes) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

std::string describe(X509* certificate) {
  const bio_pointer out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
  BIO_puts(out.get(), ", until ");
  ASN1_TIME_print(out.get(), X509_get0_notAfter(certificate));
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(bytes)};
}

class identity final : public tls_identity {
 public:
  identity(context_pointer context, std::string description)
      : context_(std::move(context)), description_(std::move(description)) {}
  const std::string& description() const override { return description_; }
  SSL_CTX* context() const { return context_.get(); }

 private:
  const context_pointer context_;
  const std::string description_;
};

status set_up(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Buffers of idle connections are given back; a write that was cut short goes on elsewhere.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Sessions are resumed by tickets, which cost no memory here.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  if (SSL_CTX_set_cipher_list(context, ciphers) != 1) return bad_identity("TLS ciphers");
  return {};
}

status add_certificates(SSL_CTX* context, const std::string& text, std::string& description) {
  const bio_pointer from = reading(text);
  const certificate_pointer own(PEM_read_bio_X509_AUX(from.get(), nullptr, no_passphrase, nullptr));
  if (!own) return bad_identity("it has no certificate in PEM");
  if (SSL_CTX_use_certificate(context, own.get()) != 1)
    return bad_identity("the certificate cannot be used");
  description = describe(own.get());
  while (true) {
    const certificate_pointer next(PEM_read_bio_X509(from.get(), nullptr, no_passphrase, nullptr));
    if (!next) break;
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1)
      return bad_identity("a certificate of its chain cannot be used");
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return bad_identity("a certificate of its chain is damaged");
  ERR_clear_error();
  return {};
}

}  // namespace

result<std::shared_ptr<const tls_identity>> tls_identity::create(const std::string& certificate,
                                                                 const std::string& key) {
  ERR_clear_error();
  context_pointer context(SSL_CTX_new(TLS_server_method()));
  if (!context) return bad_identity("no memory for TLS");
  MILLRACE_TRY(set_up(context.get()));
  std::string description;
  status added = add_certificates(context.get(), certificate, description);
  if (!added.ok()) return std::move(added).failure().with_context("TLS certificate");
  const key_pointer own(
      PEM_read_bio_PrivateKey(reading(key).get(), nullptr, no_passphrase, nullptr));
  if (!own) return bad_identity("TLS key: it has no private key in PEM without a passphrase");
  if (SSL_CTX_use_PrivateKey(context.get(), own.get()) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1)
    return bad_identity("TLS key: it is not the key of the certificate");
  return std::shared_ptr<const tls_identity>(
      std::make_shared<identity>(std::move(context), std::move(description)));
}

std::unique_ptr<tls_session> tls_session::accept(const tls_identity& with, int socket) {
  SSL* const ssl = SSL_new(static_cast<const identity&>(with).context());
  if (ssl == nullptr) return nullptr;
  std::unique_ptr<tls_session> one(new tls_session(ssl));
  if (SSL_set_fd(ssl, socket) != 1) return nullptr;
  SSL_set_accept_state(ssl);
  return one;
}

tls_session::~tls_session() {
  SSL_free(ssl_);
}

tls_step tls_session::step_of(int outcome) {
  if (outcome == 1) return tls_step::done;
  const int why = SSL_get_error(ssl_, outcome);
  ERR_clear_error();
  if (why == SSL_ERROR_WANT_READ) return tls_step::wants_read;
  if (why == SSL_ERROR_WANT_WRITE) return tls_step::wants_write;
  if (why == SSL_ERROR_ZERO_RETURN) return tls_step::closed;
  has_failed_ = true;
  return tls_step::failed;
}

tls_step tls_session::handshake() {
  return step_of(SSL_do_handshake(ssl_));
}

std::string_view tls_session::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int bytes = 0;
  SSL_get0_alpn_selected(ssl_, &name, &bytes);
  return {reinterpret_cast<const char*>(name), bytes};
}

tls_step tls_session::read(char* to, std::size_t bytes_max, std::size_t& bytes) {
  return step_of(SSL_read_ex(ssl_, to, bytes_max, &bytes));
}

bool tls_session::has_pending() const {
  return SSL_has_pending(ssl_) == 1;
}

tls_step tls_session::write(std::string_view what, std::size_t& bytes) {
  return step_of(SSL_write_ex(ssl_, what.data(), what.size(), &bytes));
}

void tls_session::finish_sending() {
  if (has_failed_) return;
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace millrace
