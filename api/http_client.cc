#include "api/http_client.h"

#include <chrono>
#include <optional>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "base/limits.h"

namespace millrace {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

/// No answer of ours is larger; a stranger's would be cut off here.
constexpr std::uint64_t reply_bytes_max = 64 * limits::mib;

using plain_stream = beast::tcp_stream;
using tls_stream = asio::ssl::stream<beast::tcp_stream>;

class trust final : public http_trust {
 public:
  explicit trust(bool is_checked) : is_checked_(is_checked) {
    SSL_CTX_set_min_proto_version(context_.native_handle(), TLS1_2_VERSION);
  }

  status load(const std::string& ca) {
    boost::system::error_code problem;
    if (ca.empty()) {
      context_.set_default_verify_paths(problem);
    } else {
      context_.load_verify_file(ca, problem);
    }
    if (!problem) return {};
    return error(error_code::invalid_argument,
                 "CA file '" + ca + "' has no certificates in PEM: " + problem.message());
  }

  /// A stream to `host` that is to be connected and shaken hands with.
  void emplace(std::optional<tls_stream>& into, asio::io_context& io, const std::string& host) {
    into.emplace(io, context_);
    SSL* const ssl = into->native_handle();
    boost::system::error_code is_name;
    asio::ip::make_address(host, is_name);
    // SSL_set_tlsext_host_name() without the cast in its macro; the name is copied.
    if (is_name)
      SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(host.c_str()));
    if (!is_checked_) return;
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    if (is_name) {
      SSL_set1_host(ssl, host.c_str());
    } else {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
    }
  }

 private:
  const bool is_checked_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
};

template <class Stream>
class client final : public http_client {
 public:
  client(const std::string& host, std::uint16_t port, std::shared_ptr<http_trust> trust)
      : host_(host), port_(port), trust_(std::move(trust)) {}

  std::string host_header() const override {
    const bool is_v6 = host_.find(':') != std::string::npos;
    return (is_v6 ? "[" + host_ + "]" : host_) + ":" + std::to_string(port_);
  }

  status connect(std::uint64_t timeout_us) override {
    if (stream_) return {};
    const status done = open(timeout_us);
    if (!done.ok()) stream_.reset();
    return done;
  }

  result<http_reply> call(const http_call& what) override {
    const bool reused = stream_.has_value();
    auto reply = try_call(what);
    if (reply.ok()) return reply;
    stream_.reset();
    // The server may have closed an idle connection just then. Nothing came back, but what changes
    // something may have been done: only reads are asked again.
    const bool again = reused && reply.failure().code() == error_code::io && what.method == "GET";
    return again ? try_call(what) : reply;
  }

  result<http_reply> stream(const http_call& what,
                            const std::function<result<bool>(std::string_view)>& take) override {
    stream_.reset();  // it ends with the body
    MILLRACE_TRY(send(what));
    boost::system::error_code outcome;
    const auto done = [&](boost::system::error_code e, std::size_t) { outcome = e; };
    http::response_parser<http::string_body> parser;
    parser.body_limit(boost::none);
    http::async_read_header(*stream_, buffer_, parser, done);
    MILLRACE_TRY(finish(outcome, "answer of"));
    std::string& body = parser.get().body();
    const bool is_good = parser.get().result_int() / 100 == 2;
    for (bool goes_on = true; goes_on && !parser.is_done();) {
      beast::get_lowest_layer(*stream_).expires_after(std::chrono::microseconds(what.timeout_us));
      http::async_read_some(*stream_, buffer_, parser, done);
      MILLRACE_TRY(finish(outcome, "answer of"));
      if (!is_good) continue;
      MILLRACE_ASSIGN(goes_on, take(body));
      body.clear();
    }
    stream_.reset();
    return http_reply{parser.get().result_int(), std::move(body)};
  }

 private:
  static constexpr bool is_tls = std::is_same_v<Stream, tls_stream>;

  /// Runs the operation just started to its end.
  status finish(const boost::system::error_code& outcome, const char* doing) {
    io_.restart();
    io_.run();
    if (!outcome) return {};
    const std::string what = std::string(doing) + " " + where();
    if (outcome == beast::error::timeout)
      return error(error_code::timed_out, what + ": no answer in time");
    const bool nobody = outcome == asio::error::connection_refused;
    return error(nobody ? error_code::unavailable : error_code::io,
                 what + ": " + outcome.message());
  }

  std::string where() const { return host_ + ":" + std::to_string(port_); }

  status open(std::uint64_t timeout_us) {
    boost::system::error_code outcome;
    const auto found = tcp::resolver(io_).resolve(host_, std::to_string(port_), outcome);
    if (outcome)
      return error(error_code::unavailable, "host '" + host_ + "': " + outcome.message());
    if constexpr (is_tls) {
      static_cast<trust&>(*trust_).emplace(stream_, io_, host_);
    } else {
      stream_.emplace(io_);
    }
    buffer_.clear();
    beast::tcp_stream& lowest = beast::get_lowest_layer(*stream_);
    lowest.expires_after(std::chrono::microseconds(timeout_us));
    lowest.async_connect(found, [&](boost::system::error_code e, auto) { outcome = e; });
    MILLRACE_TRY(finish(outcome, "connection to"));
    lowest.socket().set_option(tcp::no_delay(true), outcome);
    if constexpr (is_tls) return shake_hands();
    return {};
  }

  /// In the time that connecting has left.
  status shake_hands() requires(is_tls) {
    boost::system::error_code outcome;
    stream_->async_handshake(asio::ssl::stream_base::client,
                             [&](boost::system::error_code e) { outcome = e; });
    const status done = finish(outcome, "TLS connection to");
    const long found = SSL_get_verify_result(stream_->native_handle());
    if (done.ok() || found == X509_V_OK) return done;
    return error(error_code::permission, "TLS connection to " + where() +
                                             ": the certificate is not to be trusted: " +
                                             X509_verify_cert_error_string(found));
  }

  status send(const http_call& what) {
    if (!stream_) MILLRACE_TRY(open(what.timeout_us));
    http::request<http::span_body<const char>> request(http::verb::get, what.target, 11);
    request.method_string(what.method);
    request.set(http::field::host, host_header());
    for (const auto& [name, value] : what.headers)
      request.set(name, value);
    request.body() = {what.body.data(), what.body.size()};
    request.prepare_payload();

    boost::system::error_code outcome;
    const auto done = [&](boost::system::error_code e, std::size_t) { outcome = e; };
    beast::get_lowest_layer(*stream_).expires_after(std::chrono::microseconds(what.timeout_us));
    http::async_write(*stream_, request, done);
    return finish(outcome, "request to");
  }

  result<http_reply> try_call(const http_call& what) {
    MILLRACE_TRY(send(what));
    boost::system::error_code outcome;
    const auto done = [&](boost::system::error_code e, std::size_t) { outcome = e; };
    http::response_parser<http::string_body> parser;
    parser.body_limit(reply_bytes_max);
    http::async_read(*stream_, buffer_, parser, done);
    MILLRACE_TRY(finish(outcome, "answer of"));
    auto message = parser.release();
    if (!message.keep_alive()) stream_.reset();
    return http_reply{message.result_int(), std::move(message.body())};
  }

  const std::string host_;
  const std::uint16_t port_;
  const std::shared_ptr<http_trust> trust_;
  asio::io_context io_{1};
  std::optional<Stream> stream_;
  beast::flat_buffer buffer_;
};

}  // namespace

result<std::shared_ptr<http_trust>> http_trust::by_certificate(const std::string& ca) {
  auto made = std::make_shared<trust>(true);
  MILLRACE_TRY(made->load(ca));
  return std::shared_ptr<http_trust>(std::move(made));
}

std::shared_ptr<http_trust> http_trust::in_anybody() {
  return std::make_shared<trust>(false);
}

std::unique_ptr<http_client> http_client::create(const std::string& host, std::uint16_t port,
                                                 std::shared_ptr<http_trust> trust) {
  if (trust) return std::make_unique<client<tls_stream>>(host, port, std::move(trust));
  return std::make_unique<client<plain_stream>>(host, port, nullptr);
}

}  // namespace millrace
