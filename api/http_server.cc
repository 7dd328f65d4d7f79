#include "api/http_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "base/clock.h"

namespace millrace {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

std::string text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

class server;

/// One connection: reads a request, has it handled, writes the answer, and again. All its members
/// are touched on the connections' thread only.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(tcp::socket socket, server& owner);
  ~connection();
  void read();

 private:
  void on_request(error_code failure);
  void handle();
  void on_answer(http_response answer);
  void write(http_response answer, bool keep_alive);
  void close();
  void begin_stream(http_response answer);
  void append_chunk(std::string_view bytes);
  void send();
  void after_piece();
  void on_piece(http_piece piece);

  server& owner_;
  beast::tcp_stream stream_;
  asio::steady_timer again_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> answer_;
  std::function<http_piece()> more_;  ///< while a body is being streamed
  http_piece piece_;
  std::string sending_;
  http_request request_;
  std::uint64_t arrived_us_ = 0;
  bool keep_alive_ = false;
  unsigned version_ = 11;
};

class server final : public http_server {
 public:
  server(const http_server_options& options, handler handle)
      : options_(options),
        handle_(std::move(handle)),
        acceptor_(io_),
        retry_(io_),
        workers_(options.workers) {}
  ~server() override { stop(); }

  status listen() {
    error_code failure;
    const auto where = [&](const char* what) {
      return error(millrace::error_code::io, std::string(what) + " " + options_.host + ":" +
                                                 std::to_string(options_.port) + ": " +
                                                 failure.message());
    };
    const auto address = asio::ip::make_address(options_.host, failure);
    if (failure) return where("address of");
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), failure);
    if (failure) return where("socket for");
    acceptor_.set_option(asio::socket_base::reuse_address(true), failure);
    if (!failure) acceptor_.bind(endpoint, failure);
    if (failure) return where("bind to");
    acceptor_.listen(asio::socket_base::max_listen_connections, failure);
    if (failure) return where("listen on");
    port_ = acceptor_.local_endpoint(failure).port();
    accept();
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

  std::uint16_t port() const override { return port_; }
  http_server_counters counters() const override {
    return {.requests = requests_.load(),
            .connections_refused = refused_.load(),
            .connections = connections_.load(),
            .streams = streams_.load(),
            .streams_refused = streams_refused_.load(),
            .streams_dropped = streams_dropped_.load()};
  }
  void stop() override {
    if (!thread_.joinable()) return;
    io_.stop();
    thread_.join();
    workers_.join();
  }

 private:
  friend class connection;

  void accept() {
    acceptor_.async_accept([this](error_code failure, tcp::socket socket) {
      if (failure) {
        // Out of descriptors, most likely: trying again at once would spin.
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this](error_code cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      if (connections_.load() >= options_.connections_max) {
        refused_.fetch_add(1);
        socket.close(failure);
      } else {
        std::make_shared<connection>(std::move(socket), *this)->read();
      }
      accept();
    });
  }

  // The order matters: connections, which die with the context, count themselves out.
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<std::uint64_t> streams_{0};
  std::atomic<std::uint64_t> streams_refused_{0};
  std::atomic<std::uint64_t> streams_dropped_{0};
  const http_server_options options_;
  const handler handle_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::thread_pool workers_;
  std::thread thread_;
  std::uint16_t port_ = 0;
};

connection::connection(tcp::socket socket, server& owner)
    : owner_(owner), stream_(std::move(socket)), again_(owner.io_) {
  owner_.connections_.fetch_add(1);
  error_code ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);
}

connection::~connection() {
  if (more_) owner_.streams_.fetch_sub(1);
  owner_.connections_.fetch_sub(1);
}

void connection::read() {
  parser_.emplace();
  parser_->header_limit(owner_.options_.header_bytes_max);
  parser_->body_limit(owner_.options_.body_bytes_max);
  stream_.expires_after(std::chrono::microseconds(owner_.options_.idle_timeout_us));
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](error_code failure, std::size_t) { self->on_request(failure); });
}

void connection::on_request(error_code failure) {
  const auto refuse = [&](unsigned status, const char* why) {
    http_response answer;
    answer.status = status;
    answer.body = std::string("{\"error\":\"") + why + "\"}\n";
    write(std::move(answer), false);
  };
  if (failure == http::error::body_limit) return refuse(413, "the body is too large");
  if (failure == http::error::header_limit) return refuse(431, "the headers are too large");
  if (failure == http::error::end_of_stream) return close();
  if (failure && failure.category() == make_error_code(http::error::bad_method).category() &&
      failure != http::error::partial_message)
    return refuse(400, "not an HTTP request");
  if (failure) return;  // the peer is gone or silent

  auto message = parser_->release();
  keep_alive_ = message.keep_alive();
  version_ = message.version();
  request_ = {};
  request_.method = text_of(message.method_string());
  request_.body = std::move(message.body());
  for (const auto& field : message)
    request_.headers.emplace_back(text_of(field.name_string()), text_of(field.value()));
  if (!parse_target(text_of(message.target()), request_.path, request_.query))
    return refuse(400, "the target has a bad escape");
  owner_.requests_.fetch_add(1);
  arrived_us_ = monotonic_us();
  handle();
}

void connection::handle() {
  request_.waited_us = monotonic_us() - arrived_us_;
  const auto& quick = owner_.options_.quick_paths;
  if (std::find(quick.begin(), quick.end(), request_.path) != quick.end())
    return on_answer(owner_.handle_(request_));
  // The request stays untouched until the answer is back on this thread.
  asio::post(owner_.workers_, [self = shared_from_this()] {
    auto answer = self->owner_.handle_(self->request_);
    asio::post(self->owner_.io_, [self, answer = std::move(answer)]() mutable {
      self->on_answer(std::move(answer));
    });
  });
}

void connection::on_answer(http_response answer) {
  if (answer.more) return begin_stream(std::move(answer));
  if (answer.again_after_us == 0) return write(std::move(answer), keep_alive_);
  again_.expires_after(std::chrono::microseconds(answer.again_after_us));
  again_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (!cancelled) self->handle();
  });
}

void connection::write(http_response answer, bool keep_alive) {
  answer_.emplace(static_cast<http::status>(answer.status), 11);
  answer_->set(http::field::content_type, answer.content_type);
  answer_->set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : answer.headers)
    answer_->set(name, value);
  answer_->keep_alive(keep_alive);
  answer_->content_length(answer.body.size());
  if (request_.method != "HEAD") answer_->body() = std::move(answer.body);
  stream_.expires_after(std::chrono::microseconds(owner_.options_.idle_timeout_us));
  http::async_write(stream_, *answer_,
                    [self = shared_from_this(), keep_alive](error_code failure, std::size_t) {
                      if (failure) return;
                      self->answer_.reset();
                      if (keep_alive) return self->read();
                      self->close();
                    });
}

void connection::close() {
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

/// In chunks; the connection ends with the body.
void connection::begin_stream(http_response answer) {
  const auto refuse = [&](unsigned status, const char* why) {
    http_response refusal;
    refusal.status = status;
    refusal.body = std::string("{\"error\":\"") + why + "\"}\n";
    write(std::move(refusal), false);
  };
  if (version_ < 11) return refuse(505, "streams take HTTP/1.1");
  if (owner_.streams_.load() >= owner_.options_.streams_max) {
    owner_.streams_refused_.fetch_add(1);
    return refuse(503, "too many streams are open");
  }
  http::response<http::empty_body> head(static_cast<http::status>(answer.status), 11);
  head.set(http::field::content_type, answer.content_type);
  head.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : answer.headers)
    head.set(name, value);
  head.chunked(true);
  head.keep_alive(false);
  std::ostringstream text;
  text << head.base();  // the fields alone: a body would end here
  sending_ = text.str();
  if (request_.method == "HEAD") {
    piece_.is_last = true;
  } else {
    more_ = std::move(answer.more);
    owner_.streams_.fetch_add(1);
    append_chunk(answer.body);
  }
  send();
}

void connection::append_chunk(std::string_view bytes) {
  if (bytes.empty()) return;  // an empty chunk would be the end
  sending_ += fmt::format("{:x}\r\n", bytes.size());
  sending_ += bytes;
  sending_ += "\r\n";
}

void connection::send() {
  stream_.expires_after(std::chrono::microseconds(owner_.options_.stream_stall_us));
  asio::async_write(stream_, asio::buffer(sending_),
                    [self = shared_from_this()](error_code failure, std::size_t) {
                      if (failure == beast::error::timeout)
                        self->owner_.streams_dropped_.fetch_add(1);
                      if (failure) return;  // the last reference to this goes
                      self->sending_.clear();
                      self->after_piece();
                    });
}

void connection::after_piece() {
  if (piece_.is_last) return close();
  const auto ask = [self = shared_from_this()] {
    asio::post(self->owner_.workers_, [self] {
      asio::post(self->owner_.io_,
                 [self, piece = self->more_()]() mutable { self->on_piece(std::move(piece)); });
    });
  };
  if (piece_.again_after_us == 0) return ask();
  again_.expires_after(std::chrono::microseconds(piece_.again_after_us));
  again_.async_wait([ask](error_code cancelled) {
    if (!cancelled) ask();
  });
}

void connection::on_piece(http_piece piece) {
  piece_ = std::move(piece);
  append_chunk(piece_.bytes);
  if (piece_.is_last) sending_ += "0\r\n\r\n";
  if (sending_.empty()) return after_piece();
  send();
}

}  // namespace

result<std::unique_ptr<http_server>> http_server::start(const http_server_options& options,
                                                        handler handle) {
  auto one = std::make_unique<server>(options, std::move(handle));
  MILLRACE_TRY(one->listen());
  return std::unique_ptr<http_server>(std::move(one));
}

}  // namespace millrace
