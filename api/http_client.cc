#include "api/http_client.h"

#include <chrono>
#include <optional>

#include <boost/asio/ip/tcp.hpp>
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

class client final : public http_client {
 public:
  client(const std::string& host, std::uint16_t port) : host_(host), port_(port) {}

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
      stream_->expires_after(std::chrono::microseconds(what.timeout_us));
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
  /// Runs the operation just started to its end.
  status finish(const boost::system::error_code& outcome, const char* doing) {
    io_.restart();
    io_.run();
    if (!outcome) return {};
    const std::string where = std::string(doing) + " " + host_ + ":" + std::to_string(port_);
    if (outcome == beast::error::timeout)
      return error(error_code::timed_out, where + ": no answer in time");
    const bool nobody = outcome == asio::error::connection_refused;
    return error(nobody ? error_code::unavailable : error_code::io,
                 where + ": " + outcome.message());
  }

  status open(std::uint64_t timeout_us) {
    boost::system::error_code outcome;
    const auto found = tcp::resolver(io_).resolve(host_, std::to_string(port_), outcome);
    if (outcome)
      return error(error_code::unavailable, "host '" + host_ + "': " + outcome.message());
    stream_.emplace(io_);
    buffer_.clear();
    stream_->expires_after(std::chrono::microseconds(timeout_us));
    stream_->async_connect(found, [&](boost::system::error_code e, auto) { outcome = e; });
    MILLRACE_TRY(finish(outcome, "connection to"));
    stream_->socket().set_option(tcp::no_delay(true), outcome);
    return {};
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
    stream_->expires_after(std::chrono::microseconds(what.timeout_us));
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
  asio::io_context io_{1};
  std::optional<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
};

}  // namespace

std::unique_ptr<http_client> http_client::create(const std::string& host, std::uint16_t port) {
  return std::make_unique<client>(host, port);
}

}  // namespace millrace
