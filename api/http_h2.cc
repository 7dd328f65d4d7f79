// A connection of HTTP/2: libnghttp2's callbacks, the streams, and when to write.
#include "api/http_h2.h"

#include <algorithm>
#include <cstring>

#include <nghttp2/nghttp2.h>

#include "api/http_cors.h"
#include "base/clock.h"

namespace millrace {
namespace {

constexpr std::uint32_t streams_max = 128;
constexpr std::int32_t stream_window = 4 * 1024 * 1024;
constexpr std::int32_t connection_window = 64 * 1024 * 1024;
constexpr std::uint32_t frame_bytes_max = 1024 * 1024;
/// Written at once: enough for a large answer to cost few system calls.
constexpr std::size_t write_bytes = 256 * 1024;

http2_session& self_of(void* user) {
  return *static_cast<http2_session*>(user);
}

int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) self_of(user).open_stream(frame->hd.stream_id);
  return 0;
}

int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
              std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
              std::uint8_t, void* user) {
  const auto one = self_of(user).find(frame->hd.stream_id);
  if (!one || one->has_head_) return 0;  // trailers mean nothing here
  const bool fits = one->add_header({reinterpret_cast<const char*>(name), name_bytes},
                                    {reinterpret_cast<const char*>(value), value_bytes});
  return fits ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // the stream is reset
}

int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  http2_session& self = self_of(user);
  const bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  const auto one = self.find(frame->hd.stream_id);
  if (!one) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && !one->has_head_) {
    one->has_head_ = true;
    self.on_head(*one, is_end);
  }
  if (is_end && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
    self.on_body_end(one);
  return 0;
}

int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
            std::size_t count, void* user) {
  if (!self_of(user).on_data(id, bytes, count))
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
  return 0;
}

int on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
  self_of(user).close_stream(id);
  return 0;
}

}  // namespace

http2_session::http2_session(const session_ground& ground, byte_link& link,
                             std::optional<http2_upgrade> upgrade)
    : ground_(ground), link_(link), upgrade_(std::move(upgrade)), idle_since_us_(monotonic_us()) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, millrace::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  nghttp2_session_server_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
}

http2_session::~http2_session() {
  for (const auto& [id, one] : streams_)
    one->let_go();
  nghttp2_session_del(session_);
}

void http2_session::start(std::string_view first_bytes) {
  if (upgrade_ && !take_upgrade()) return link_.close();
  const std::array<nghttp2_settings_entry, 4> settings{
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(stream_window)},
       {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, frame_bytes_max},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, http_gate::header_bytes_max}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, connection_window);
  if (const auto one = find(1)) hand_over(one);
  on_bytes(first_bytes);
}

/// The request that came in HTTP/1.1 is stream 1.
bool http2_session::take_upgrade() {
  const std::string& settings = upgrade_->settings;
  if (nghttp2_session_upgrade2(session_, reinterpret_cast<const std::uint8_t*>(settings.data()),
                               settings.size(), upgrade_->method == "HEAD" ? 1 : 0, nullptr) != 0)
    return false;
  open_stream(1);
  const auto one = find(1);
  bool fits =
      one->add_header(":method", upgrade_->method) && one->add_header(":path", upgrade_->target);
  for (const auto& [name, value] : upgrade_->headers)
    fits = fits && one->add_header(name, value);
  if (!fits) return false;
  one->make_request();
  one->has_head_ = true;
  one->body_bytes_ = one->body_got_ = upgrade_->body_bytes;
  one->room_ = std::move(upgrade_->room);
  prefix_ = switching_protocols;
  upgrade_.reset();
  return true;
}

void http2_session::on_bytes(std::string_view bytes) {
  in_callbacks_ = true;
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  in_callbacks_ = false;
  // What breaks the protocol is told to the client by a GOAWAY, which is queued already.
  is_ending_ = taken < 0 || nghttp2_session_want_read(session_) == 0;
  write_soon();
  if (is_closed_ || is_ending_) return;
  link_.read_any(SIZE_MAX);
}

/// Writes what there is, unless a write is under way, whose end comes here again.
void http2_session::write_soon() {
  if (is_writing_ || is_closed_ || in_callbacks_) return;
  out_.assign(std::exchange(prefix_, {}));
  while (out_.size() < write_bytes) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count <= 0) break;
    out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
  }
  if (out_.empty()) {
    let_go_of(out_);  // an idle connection keeps nothing of its last answer
    if (is_ending_ || nghttp2_session_want_read(session_) == 0) link_.close();
    return;
  }
  is_writing_ = true;
  write_deadline_us_ = monotonic_us() + ground_.options.send_timeout_us;
  link_.write(out_, {});
}

void http2_session::on_written() {
  is_writing_ = false;
  write_deadline_us_ = UINT64_MAX;
  write_soon();
}

void http2_session::on_closed() {
  is_closed_ = true;
  for (const auto& [id, one] : streams_)
    one->let_go();
  streams_.clear();
}

void http2_session::tick(std::uint64_t now_us) {
  if (is_closed_) return;
  for (const auto& [id, one] : streams_) {
    const bool is_late = !one->is_handled_ && !one->is_answered_ && now_us >= one->deadline_us_;
    if (!is_late && !one->is_stuck(now_us, ground_.options.send_timeout_us)) continue;
    count(ground_.counts.timeouts);
    one->deadline_us_ = one->progress_us_ = UINT64_MAX / 2;  // once is enough
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
  const bool is_idle =
      streams_.empty() && now_us >= idle_since_us_ + ground_.options.idle_timeout_us;
  if (is_idle || now_us >= write_deadline_us_) {
    count(ground_.counts.timeouts);
    return link_.close();
  }
  write_soon();
}

std::shared_ptr<http2_stream> http2_session::find(std::int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

void http2_session::open_stream(std::int32_t id) {
  const auto one = std::make_shared<http2_stream>(*this, id);
  one->deadline_us_ = monotonic_us() + ground_.options.head_timeout_us;
  streams_.emplace(id, one);
}

void http2_session::close_stream(std::int32_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  found->second->let_go();
  streams_.erase(found);
  idle_since_us_ = monotonic_us();
}

void http2_session::refuse(http2_stream& one, unsigned status, std::string_view why) {
  count_refusal(ground_.counts, status);
  one.answer(refusal_of(status, why));
}

void http2_session::on_head(http2_stream& one, bool is_end) {
  one.make_request();
  const std::string_view length = one.request_.header("content-length");
  if (length.empty() && !is_end) return refuse(one, 411, "send Content-Length");
  for (const char c : length) {
    if (c < '0' || c > '9' || one.body_bytes_ > ground_.options.body_bytes_max)
      return refuse(one, 413, "the body is too large");
    one.body_bytes_ = one.body_bytes_ * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (one.body_bytes_ > ground_.options.body_bytes_max)
    return refuse(one, 413, "the body is too large");
  if (!ground_.agent.admit(one, one.body_bytes_)) return;
  // Other streams of the connection go on, so that this one cannot wait for room unread.
  const mutable_byte_view room = ground_.bodies.reserve(one.body_bytes_ + http_gate::body_padding);
  if (room.empty()) return refuse(one, 503, "no room for the body now");
  one.room_ = body_room(ground_.bodies, room);
  one.deadline_us_ = monotonic_us() + 20'000'000 + one.body_bytes_ * 4;
}

bool http2_session::on_data(std::int32_t id, const std::uint8_t* bytes, std::size_t count) {
  const auto one = find(id);
  if (!one || one->is_answered_) return true;  // the rest of what was refused
  if (one->room_.empty() || one->body_got_ + count > one->body_bytes_) return false;
  std::memcpy(one->room_.bytes().data() + one->body_got_, bytes, count);
  one->body_got_ += count;
  return true;
}

void http2_session::on_body_end(const std::shared_ptr<http2_stream>& one) {
  if (one->is_answered_ || one->is_handled_ || one->body_got_ != one->body_bytes_) return;
  hand_over(one);
}

void http2_session::hand_over(const std::shared_ptr<http2_stream>& one) {
  one->is_handled_ = true;
  one->request_.body = one->room_.bytes().first(one->body_bytes_);
  std::memset(one->room_.bytes().data() + one->body_bytes_, 0, http_gate::body_padding);
  count(ground_.counts.requests);
  if (is_preflight(ground_.options.cors_origins, one->request_))
    return one->answer(preflight_answer());
  ground_.agent.handle(one);
}

std::unique_ptr<http_session> make_http2_session(const session_ground& ground, byte_link& link,
                                                 std::optional<http2_upgrade> upgrade) {
  return std::make_unique<http2_session>(ground, link, std::move(upgrade));
}

}  // namespace millrace
