#include "api/http_connection.h"

#include <algorithm>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>

#include "base/clock.h"

namespace millrace {
namespace {

namespace asio = boost::asio;
using failure_code = boost::system::error_code;
using tcp = asio::ip::tcp;

/// What every TLS connection begins with; no HTTP does.
constexpr char tls_handshake_record = 0x16;
/// One record of TLS.
constexpr std::size_t record_bytes = 16 * 1024;
}  // namespace

connection::connection(tcp::socket socket, connection_host& host)
    : socket_(std::move(socket)),
      host_(host),
      deadline_us_(monotonic_us() + host.ground().options.head_timeout_us) {}

void connection::start() {
  if (!host_.identity()) return read_first();
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](failure_code failure) {
    if (failure) return self->close();
    self->look_at_first_byte();
  });
}

void connection::look_at_first_byte() {
  char first = 0;
  const ssize_t bytes = recv(socket_.native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return start();
  if (bytes <= 0) return close();
  if (first == tls_handshake_record) return begin_tls();
  is_refused_ = !host_.ground().options.plain_too;
  read_first();
}

// --- TLS -----------------------------------------------------------------------------------------

void connection::begin_tls() {
  const auto identity = host_.identity();
  failure_code failure;
  socket_.native_non_blocking(true, failure);
  if (failure || !identity || !host_.begin_handshake()) return close();
  is_shaking_hands_ = true;
  deadline_us_ = monotonic_us() + host_.ground().options.handshake_timeout_us;
  tls_ = tls_session::accept(*identity, socket_.native_handle());
  if (!tls_) return close();
  shake_hands();
}

template <class Next>
void connection::wait_for(tls_step step, Next next) {
  if (step != tls_step::wants_read && step != tls_step::wants_write) return close();
  const auto what = step == tls_step::wants_read ? tcp::socket::wait_read : tcp::socket::wait_write;
  socket_.async_wait(what, [self = shared_from_this(), next](failure_code failure) {
    if (failure) return self->close();
    if (!self->is_closed_) next(*self);
  });
}

void connection::shake_hands() {
  const tls_step step = tls_->handshake();
  if (step != tls_step::done) return wait_for(step, [](connection& self) { self.shake_hands(); });
  is_shaking_hands_ = false;
  host_.end_handshake(true);
  deadline_us_ = monotonic_us() + host_.ground().options.head_timeout_us;
  read_first();
}

/// What is there, a record after the other.
tls_step connection::fill_by_tls(std::span<char> room, std::size_t& got) {
  got = 0;
  tls_step step = tls_step::done;
  while (step == tls_step::done && got < room.size()) {
    std::size_t bytes = 0;
    step = tls_->read(room.data() + got, room.size() - got, bytes);
    if (step == tls_step::done) got += bytes;
  }
  return step;
}

void connection::read_tls(char* to, std::size_t bytes_max) {
  std::size_t got = 0;
  const tls_step step = fill_by_tls({to, std::min(bytes_max, read_turn_bytes)}, got);
  if (got == 0)
    return wait_for(step, [to, bytes_max](connection& self) { self.read_tls(to, bytes_max); });
  // Not at once: the session may be in the middle of something.
  asio::post(socket_.get_executor(), [self = shared_from_this(), got] {
    if (!self->is_closed_) self->on_read(got);
  });
}

void connection::write_tls() {
  while (!writing_.empty()) {
    std::size_t bytes = 0;
    const tls_step step = tls_->write(writing_, bytes);
    if (step != tls_step::done) return wait_for(step, [](connection& self) { self.write_tls(); });
    writing_.remove_prefix(bytes);
    if (writing_.empty()) std::swap(writing_, writing_next_);
  }
  let_go_of(joined_);
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (!self->is_closed_) self->session_->on_written();
  });
}

// --- bytes ---------------------------------------------------------------------------------------

void connection::read_first() {
  read_some(first_.data() + first_bytes_, first_.size() - first_bytes_);
}

void connection::on_first(std::size_t bytes) {
  first_bytes_ += bytes;
  const std::string_view first(first_.data(), first_bytes_);
  const bool may_be_http2 = http2_preface.starts_with(first);
  if (may_be_http2 && first_bytes_ < first_.size()) return read_first();
  if (may_be_http2 && is_refused_) return close();
  session_ = may_be_http2 ? make_http2_session(host_.ground(), *this)
                          : make_http1_session(host_.ground(), *this, weak_from_this());
  session_->start(first);
}

void connection::on_read(std::size_t bytes) {
  count(host_.ground().counts.bytes_received, bytes);
  if (session_) return session_->on_read(bytes);
  on_first(bytes);
}

void connection::read_some(char* to, std::size_t bytes_max) {
  if (is_closed_) return;
  if (tls_) return read_tls(to, bytes_max);
  socket_.async_read_some(asio::buffer(to, bytes_max),
                          [self = shared_from_this()](failure_code failure, std::size_t bytes) {
                            if (failure) return self->close();
                            self->on_read(bytes);
                          });
}

void connection::read_any(std::size_t bytes_max) {
  if (is_closed_) return;
  const auto take = [bytes_max](connection& self) { self.take_any(bytes_max); };
  if (!tls_ || !tls_->has_pending()) return wait_for(tls_step::wants_read, take);
  // The socket does not tell of what TLS has taken from it already.
  asio::post(socket_.get_executor(), [self = shared_from_this(), take] {
    if (!self->is_closed_) take(*self);
  });
}

void connection::take_any(std::size_t bytes_max) {
  const std::span<char> buffer = host_.read_buffer();
  const std::span<char> room = buffer.first(std::min(bytes_max, buffer.size()));
  std::size_t got = 0;
  if (tls_) {
    const tls_step step = fill_by_tls(room, got);
    if (got == 0)
      return wait_for(step, [bytes_max](connection& self) { self.take_any(bytes_max); });
  } else {
    const ssize_t bytes = recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return read_any(bytes_max);
    if (bytes <= 0) return close();
    got = static_cast<std::size_t>(bytes);
  }
  count(host_.ground().counts.bytes_received, got);
  session_->on_bytes({room.data(), got});
}

void connection::write(std::string_view first, std::string_view second) {
  if (is_closed_) return;
  count(host_.ground().counts.bytes_sent, first.size() + second.size());
  if (tls_) {
    // A record of its own for a small head would cost a system call and a packet.
    joined_.assign(first);
    const std::size_t part =
        std::min(second.size(), record_bytes - std::min(first.size(), record_bytes));
    joined_ += second.substr(0, part);
    writing_ = joined_;
    writing_next_ = second.substr(part);
    return write_tls();
  }
  const std::array<asio::const_buffer, 2> parts{asio::buffer(first.data(), first.size()),
                                                asio::buffer(second.data(), second.size())};
  asio::async_write(socket_, parts, [self = shared_from_this()](failure_code failure, std::size_t) {
    if (failure) return self->close();
    self->session_->on_written();
  });
}

void connection::finish_sending() {
  if (tls_) tls_->finish_sending();
  failure_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void connection::close() {
  if (is_closed_) return;
  is_closed_ = true;
  if (is_shaking_hands_) host_.end_handshake(false);
  is_shaking_hands_ = false;
  failure_code ignored;
  socket_.close(ignored);
  if (session_) session_->on_closed();
  host_.forget(shared_from_this());
}

void connection::become_http2(http2_upgrade what) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), what = std::move(what)]() mutable {
    if (self->is_closed_) return;
    self->retired_ = std::move(self->session_);
    const std::string first = std::move(what.first_bytes);
    self->session_ = make_http2_session(self->host_.ground(), *self, std::move(what));
    self->session_->start(first);
  });
}

void connection::tick(std::uint64_t now_us) {
  if (session_) return session_->tick(now_us);
  if (now_us < deadline_us_) return;
  count(host_.ground().counts.timeouts);
  close();
}

}  // namespace millrace
