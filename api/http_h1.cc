/// HTTP/1.1 by Beast's parser: the head is parsed where it was read, the body goes straight into
/// the arena.
#include <algorithm>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/format.h>

#include "api/http_cors.h"
#include "api/http_session.h"
#include "api/http_upgrade.h"
#include "base/clock.h"

namespace millrace {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

std::string_view view_of(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

/// Notes where the parts of a head lie; copies nothing.
class head_parser final : public http::basic_parser<true> {
 public:
  explicit head_parser(gate_request& into) : into_(into) {
    header_limit(http_gate::header_bytes_max);
    body_limit(UINT64_MAX);  // the body is ours; and here none is less than any
  }

 private:
  void on_request_impl(http::verb, boost::beast::string_view method,
                       boost::beast::string_view target, int, error_code&) override {
    into_.method = view_of(method);
    into_.target = view_of(target);
  }
  void on_response_impl(int, boost::beast::string_view, int, error_code&) override {}
  void on_field_impl(http::field, boost::beast::string_view name, boost::beast::string_view value,
                     error_code&) override {
    into_.headers.emplace_back(view_of(name), view_of(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view, error_code&) override {
    return 0;
  }
  void on_finish_impl(error_code&) override {}

  gate_request& into_;
};

constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

/// Of the last head, kept between requests.
constexpr std::size_t idle_bytes_max = 4096;

/// Room for the head of most answers.
constexpr std::size_t head_bytes_usual = 384;
constexpr std::string_view chunk_end = "\r\n";
/// How long a client that still sends gets to read the last answer.
constexpr std::uint64_t linger_us = 2'000'000;

std::string_view reason_of(unsigned status) {
  return view_of(http::obsolete_reason(http::int_to_status(status)));
}

class http1_session final : public http_session, public http_exchange {
 public:
  http1_session(const session_ground& ground, byte_link& link, std::weak_ptr<void> owner)
      : ground_(ground), link_(link), owner_(std::move(owner)), unsent_(ground.options) {}

  // --- exchange ---
  const gate_request& request() const override { return request_; }
  body_room take_body() override { return std::move(room_); }
  void answer(gate_answer what) override;
  void begin_stream(unsigned status, std::string_view content_type, http_fields headers) override;
  void send(std::string piece) override;
  void end_stream() override;
  bool is_open() const override { return !is_closed_; }
  std::uint64_t unsent_bytes() const override { return unsent_.bytes(); }
  void when_unsent_below(std::uint64_t bytes, std::function<void()> then) override {
    drained_.set(bytes, std::move(then));
  }

  // --- session ---
  void start(std::string_view first_bytes) override {
    in_ = first_bytes;
    next_request();
  }
  void on_read(std::size_t bytes) override {
    body_got_ += bytes;
    read_body();
  }
  void on_bytes(std::string_view bytes) override;
  void on_written() override;
  void on_closed() override {
    is_closed_ = true;
    queue_.clear();
    unsent_.clear();
  }
  void tick(std::uint64_t now_us) override;
  bool is_waiting() const override { return state_ == state::room; }

 private:
  enum class state : std::uint8_t { head, room, body, handling, answering, streaming, closing };

  void next_request();
  void parse_head();
  void on_head(const head_parser& parser);
  void read_body();
  void on_body();
  void refuse(unsigned status, std::string_view why);
  void write(std::string head, std::string body);
  void append_head(std::string& out, unsigned status, std::string_view content_type,
                   const http_fields& headers) const;
  void write_next_piece();

  const session_ground ground_;
  byte_link& link_;
  const std::weak_ptr<void> owner_;

  state state_ = state::head;
  bool is_closed_ = false;
  bool keep_alive_ = false;
  bool wants_continue_ = false;
  bool is_writing_ = false;
  std::uint64_t deadline_us_ = 0;

  std::string in_;         // a request's head, where its parts lie, and what came behind it
  std::size_t begin_ = 0;  // what is before it is parsed

  gate_request request_;
  body_room room_;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t body_got_ = 0;
  std::string head_;  // being written
  std::string out_;
  std::deque<std::string> queue_;  // of a stream
  unsent_share unsent_;
  drain_call drained_;
  bool stream_ended_ = false;
};

void http1_session::next_request() {
  state_ = state::head;
  label_ = 0;
  request_.headers.clear();
  request_.body = {};
  room_.reset();
  body_bytes_ = body_got_ = 0;
  // What is left of the last read may hold whole requests already.
  in_.erase(0, begin_);
  begin_ = 0;
  const auto& options = ground_.options;
  deadline_us_ =
      monotonic_us() + (!in_.empty() ? options.head_timeout_us : options.idle_timeout_us);
  if (!in_.empty()) return parse_head();
  if (in_.capacity() > idle_bytes_max) let_go_of(in_);
  link_.read_any(http_gate::header_bytes_max);
}

void http1_session::on_bytes(std::string_view bytes) {
  if (state_ == state::closing) return link_.read_any(http_gate::header_bytes_max);
  if (in_.empty()) deadline_us_ = monotonic_us() + ground_.options.head_timeout_us;
  in_ += bytes;
  parse_head();
}

void http1_session::parse_head() {
  request_.headers.clear();
  head_parser parser(request_);
  error_code failure;
  const std::size_t used = parser.put(boost::asio::const_buffer(in_.data(), in_.size()), failure);
  if (failure == http::error::need_more) {
    if (in_.size() >= http_gate::header_bytes_max)
      return refuse(431, "the head is larger than 16384 bytes");
    return link_.read_any(http_gate::header_bytes_max - in_.size());
  }
  if (failure == http::error::header_limit)
    return refuse(431, "the head is larger than 16384 bytes");
  if (failure) return refuse(400, "not an HTTP request");
  begin_ = used;
  on_head(parser);
}

void http1_session::on_head(const head_parser& parser) {
  // A folded header's value lies in the parser, which goes away; such headers are obsolete.
  for (const auto& [name, value] : request_.headers) {
    const bool inside =
        value.empty() || (value.data() >= in_.data() && value.data() < in_.data() + in_.size());
    if (!inside) return refuse(400, "folded header");
  }
  keep_alive_ = parser.keep_alive();
  if (link_.is_refused()) return refuse(400, "this port speaks TLS: use https");
  if (parser.chunked()) return refuse(411, "chunked bodies are not accepted: send Content-Length");
  const auto length = parser.content_length();
  body_bytes_ = length ? *length : 0;
  if (body_bytes_ > ground_.options.body_bytes_max)
    return refuse(413, fmt::format("the body of {} bytes is larger than {}", body_bytes_,
                                   ground_.options.body_bytes_max));
  wants_continue_ = !request_.header("Expect").empty();
  if (!ground_.agent.admit(*this, body_bytes_)) return;
  deadline_us_ = monotonic_us() + ground_.options.room_patience_us;
  state_ = state::room;
  tick(0);
}

void http1_session::tick(std::uint64_t now_us) {
  if (is_closed_) return;
  if (state_ == state::room) {
    const mutable_byte_view room = ground_.bodies.reserve(body_bytes_ + http_gate::body_padding);
    if (!room.empty()) {
      room_ = body_room(ground_.bodies, room);
      state_ = state::body;
      // A client that sends slower than 256 KiB/s, or nothing for 20 s, keeps its room from others.
      deadline_us_ = monotonic_us() + 20'000'000 + body_bytes_ * 4;
      const std::size_t here = std::min<std::size_t>(in_.size() - begin_, body_bytes_);
      std::memcpy(room.data(), in_.data() + begin_, here);
      begin_ += here;
      body_got_ = here;
      if (wants_continue_ && here < body_bytes_) {
        is_writing_ = true;
        return link_.write(go_on, {});
      }
      return read_body();
    }
    if (now_us >= deadline_us_) return refuse(503, "no room for the body now");
    return;
  }
  if (state_ == state::handling || now_us < deadline_us_) return;
  if (state_ == state::streaming && !is_writing_) return;
  count(ground_.counts.timeouts);
  link_.close();
}

void http1_session::read_body() {
  if (body_got_ == body_bytes_) return on_body();
  link_.read_some(reinterpret_cast<char*>(room_.bytes().data()) + body_got_,
                  body_bytes_ - body_got_);
}

void http1_session::on_body() {
  state_ = state::handling;
  request_.body = room_.bytes().first(body_bytes_);
  std::memset(room_.bytes().data() + body_bytes_, 0, http_gate::body_padding);
  if (auto upgrade = upgrade_asked_for(request_)) {
    upgrade->room = std::move(room_);
    upgrade->body_bytes = body_bytes_;
    upgrade->first_bytes.assign(in_, begin_);
    return link_.become_http2(*std::move(upgrade));
  }
  count(ground_.counts.requests);
  if (is_preflight(ground_.options.cors_origins, request_)) return answer(preflight_answer());
  const auto owner = owner_.lock();
  if (!owner) return;
  ground_.agent.handle(std::shared_ptr<http_exchange>(owner, this));
}

void http1_session::append_head(std::string& out, unsigned status, std::string_view content_type,
                                const http_fields& headers) const {
  const auto append = [&out](std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts)
      out += part;
  };
  out.reserve(head_bytes_usual);
  append({"HTTP/1.1 ", fmt::format_int(status).c_str(), " ", reason_of(status),
          "\r\nContent-Type: ", content_type, "\r\n"});
  for (const auto& [name, value] : headers)
    append({name, ": ", value, "\r\n"});
  if (!keep_alive_) out += "Connection: close\r\n";
}

void http1_session::answer(gate_answer what) {
  if (is_closed_) return;
  count_answer(ground_.counts, label_, what.status);
  add_cors(ground_.options.cors_origins, request_, what.headers);
  std::string head;
  append_head(head, what.status, what.content_type, what.headers);
  head += "Content-Length: ";
  head += fmt::format_int(what.body.size()).c_str();
  head += "\r\n\r\n";
  if (request_.method == "HEAD") what.body.clear();
  // Answered before the body was read: what follows on the connection is not a request.
  if (state_ != state::handling) keep_alive_ = false;
  state_ = state::answering;
  unsent_.add(what.body.size());
  write(std::move(head), std::move(what.body));
}

void http1_session::refuse(unsigned status, std::string_view why) {
  count_refusal(ground_.counts, status);
  // They may be half of what was sent, or lie in a parser that is gone.
  if (state_ == state::head) request_.headers.clear();
  keep_alive_ = false;
  answer(refusal_of(status, why));
}

void http1_session::write(std::string head, std::string body) {
  head_ = std::move(head);
  out_ = std::move(body);
  is_writing_ = true;
  deadline_us_ = monotonic_us() + ground_.options.send_timeout_us;
  link_.write(head_, out_);
}

void http1_session::on_written() {
  is_writing_ = false;
  switch (state_) {
    case state::body:
      return read_body();
    case state::streaming:
      return write_next_piece();
    case state::answering:
      ground_.options.spare->give(std::exchange(out_, {}));
      unsent_.clear();
      if (keep_alive_) return next_request();
      // Closing now, with something unread, would make the system throw away what was just sent.
      state_ = state::closing;
      deadline_us_ = monotonic_us() + linger_us;
      link_.finish_sending();
      return link_.read_any(http_gate::header_bytes_max);
    default:
      return;
  }
}

void http1_session::begin_stream(unsigned status, std::string_view content_type,
                                 http_fields headers) {
  if (is_closed_) return;
  count_answer(ground_.counts, label_, status);
  add_cors(ground_.options.cors_origins, request_, headers);
  std::string head;
  append_head(head, status, content_type, headers);
  head += "Transfer-Encoding: chunked\r\n\r\n";
  state_ = state::streaming;
  stream_ended_ = false;
  write(std::move(head), {});
}

void http1_session::send(std::string piece) {
  if (is_closed_ || piece.empty()) return;
  // With its end at once: clients wait for that before they look at the piece.
  piece += chunk_end;
  unsent_.add(piece.size());
  queue_.push_back(std::move(piece));
  if (!is_writing_) write_next_piece();
}

void http1_session::end_stream() {
  if (is_closed_ || state_ != state::streaming) return;
  stream_ended_ = true;
  if (!is_writing_) write_next_piece();
}

void http1_session::write_next_piece() {
  unsent_.take(out_.size());
  out_.clear();
  drained_.look(unsent_.bytes());
  if (!queue_.empty()) {
    std::string piece = std::move(queue_.front());
    queue_.pop_front();
    std::string head = fmt::format("{:x}\r\n", piece.size() - chunk_end.size());
    return write(std::move(head), std::move(piece));
  }
  if (!stream_ended_) return;
  state_ = state::answering;
  write("0\r\n\r\n", {});
}

}  // namespace

gate_answer refusal_of(unsigned status, std::string_view why) {
  return {.status = status,
          .content_type = "application/x-amz-json-1.1",
          .headers = {},
          .body = fmt::format(R"({{"__type":"{}","message":"{}"}})",
                              status == 413   ? "RequestEntityTooLargeException"
                              : status == 503 ? "ServiceUnavailable"
                                              : "BadRequestException",
                              why)};
}

std::unique_ptr<http_session> make_http1_session(const session_ground& ground, byte_link& link,
                                                 std::weak_ptr<void> owner) {
  return std::make_unique<http1_session>(ground, link, std::move(owner));
}

}  // namespace millrace
