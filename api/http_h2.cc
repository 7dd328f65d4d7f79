/// HTTP/2 by libnghttp2, which keeps the protocol's own rules (flow control, PING, settings, bounds
/// on resets): here are its callbacks, and bodies that go straight into the arena.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <unordered_map>

#include <nghttp2/nghttp2.h>

#include "api/http_cors.h"
#include "api/http_session.h"
#include "api/http_upgrade.h"
#include "base/clock.h"

namespace millrace {
namespace {

constexpr std::uint32_t streams_max = 128;
constexpr std::int32_t stream_window = 4 * 1024 * 1024;
constexpr std::int32_t connection_window = 64 * 1024 * 1024;
constexpr std::uint32_t frame_bytes_max = 1024 * 1024;
constexpr std::size_t read_bytes = 64 * 1024;
/// Written at once: enough for a large answer to cost few system calls.
constexpr std::size_t write_bytes = 256 * 1024;

class http2_session;

/// One stream: a request, and its answer.
class http2_stream final : public http_exchange {
 public:
  http2_stream(http2_session& session, std::int32_t id);

  const gate_request& request() const override { return request_; }
  body_room take_body() override { return std::move(room_); }
  void answer(gate_answer what) override;
  void begin_stream(unsigned status, std::string_view content_type, http_fields headers) override;
  void send(std::string piece) override;
  void end_stream() override;
  bool is_open() const override { return session_ != nullptr; }
  std::uint64_t unsent_bytes() const override { return unsent_.bytes(); }
  void when_unsent_below(std::uint64_t bytes, std::function<void()> then) override {
    drained_.set(bytes, std::move(then));
  }

  /// The next bytes of the answer; -1: none yet. Sets `is_end` with the last.
  ssize_t read(std::uint8_t* to, std::size_t bytes_max, bool& is_end);
  /// Headers are kept one behind the other; views into them are made when all are there.
  bool add_header(std::string_view name, std::string_view value);
  void make_request();
  /// The stream is gone; who holds it may do so.
  void let_go();
  /// Something is there to send, and the client has taken nothing for so long.
  bool is_stuck(std::uint64_t now_us, std::uint64_t patience_us) const {
    return unsent_.bytes() > 0 && now_us >= progress_us_ + patience_us;
  }

  http2_session* session_;  // null: the stream is gone
  const std::int32_t id_;
  gate_request request_;
  body_room room_;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t body_got_ = 0;
  std::uint64_t deadline_us_ = 0;
  std::uint64_t progress_us_ = 0;  // of its answer
  bool is_answered_ = false;
  bool has_head_ = false;
  bool is_handled_ = false;

 private:
  void start(unsigned status, std::string_view content_type, http_fields headers);

  struct span_of {
    std::size_t name = 0;
    std::size_t value = 0;
    std::size_t end = 0;
  };
  std::string header_text_;
  std::vector<span_of> header_spans_;
  std::deque<std::string> queue_;
  std::size_t sent_of_first_ = 0;
  unsent_share unsent_;
  drain_call drained_;
  bool ended_ = false;
};

class http2_session final : public http_session {
 public:
  http2_session(const session_ground& ground, byte_link& link,
                std::optional<http2_upgrade> upgrade);
  ~http2_session() override;

  void start(std::string_view first_bytes) override;
  void on_read(std::size_t bytes) override;
  void on_written() override;
  void on_closed() override;
  void tick(std::uint64_t now_us) override;
  bool is_waiting() const override { return false; }

  nghttp2_session* raw() { return session_; }
  const session_ground& ground() const { return ground_; }
  void write_soon();
  void on_head(http2_stream& one, bool is_end);
  void on_body_end(const std::shared_ptr<http2_stream>& one);
  void hand_over(const std::shared_ptr<http2_stream>& one);
  std::shared_ptr<http2_stream> find(std::int32_t id) const;
  void open_stream(std::int32_t id);
  void close_stream(std::int32_t id);
  bool on_data(std::int32_t id, const std::uint8_t* bytes, std::size_t count);
  void refuse(http2_stream& one, unsigned status, std::string_view why);

 private:
  bool take_upgrade();

  const session_ground ground_;
  byte_link& link_;
  std::optional<http2_upgrade> upgrade_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::shared_ptr<http2_stream>> streams_;
  std::vector<char> in_;
  std::string_view prefix_;  // goes out before the first frame
  std::string out_;
  bool is_writing_ = false;
  bool is_closed_ = false;
  bool in_callbacks_ = false;
  bool is_ending_ = false;  // nothing is read any more; what there is to say is still said
  std::uint64_t idle_since_us_ = 0;
  std::uint64_t write_deadline_us_ = UINT64_MAX;
};

// --- streams -------------------------------------------------------------------------------------

http2_stream::http2_stream(http2_session& session, std::int32_t id)
    : session_(&session), id_(id), unsent_(session.ground().options) {}

void http2_stream::let_go() {
  session_ = nullptr;
  queue_.clear();
  unsent_.clear();
}

bool http2_stream::add_header(std::string_view name, std::string_view value) {
  if (header_text_.size() + name.size() + value.size() > http_gate::header_bytes_max) return false;
  span_of where{.name = header_text_.size(), .value = 0, .end = 0};
  header_text_ += name;
  where.value = header_text_.size();
  header_text_ += value;
  where.end = header_text_.size();
  header_spans_.push_back(where);
  return true;
}

void http2_stream::make_request() {
  const std::string_view text = header_text_;
  for (const span_of& one : header_spans_) {
    const std::string_view name = text.substr(one.name, one.value - one.name);
    const std::string_view value = text.substr(one.value, one.end - one.value);
    if (name == ":method") {
      request_.method = value;
    } else if (name == ":path") {
      request_.target = value;
    } else if (name == ":authority") {
      // Some clients sign it by the one name, some by the other.
      request_.headers.emplace_back("host", value);
      request_.headers.emplace_back(name, value);
    } else if (!name.starts_with(':')) {
      request_.headers.emplace_back(name, value);
    }
  }
}

void http2_stream::start(unsigned status, std::string_view content_type, http_fields headers) {
  is_answered_ = true;
  progress_us_ = monotonic_us();
  count_answer(session_->ground().counts, label_, status);
  add_cors(session_->ground().options.cors_origins, request_, headers);
  const std::string status_text = std::to_string(status);
  http_fields all{{":status", status_text}, {"content-type", std::string(content_type)}};
  for (const auto& [name, value] : headers) {
    std::string small = name;
    std::transform(small.begin(), small.end(), small.begin(), [](unsigned char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c);
    });
    all.emplace_back(std::move(small), value);
  }
  std::vector<nghttp2_nv> fields;
  for (auto& [name, value] : all)
    fields.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                      reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
  nghttp2_data_provider provider{};
  provider.source.ptr = this;
  provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t most,
                              std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
    bool is_end = false;
    const ssize_t bytes = static_cast<http2_stream*>(source->ptr)->read(to, most, is_end);
    if (is_end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return bytes < 0 ? ssize_t{NGHTTP2_ERR_DEFERRED} : bytes;
  };
  nghttp2_submit_response(session_->raw(), id_, fields.data(), fields.size(), &provider);
  session_->write_soon();
}

ssize_t http2_stream::read(std::uint8_t* to, std::size_t bytes_max, bool& is_end) {
  std::size_t bytes = 0;
  while (bytes < bytes_max && !queue_.empty()) {
    const std::string& first = queue_.front();
    const std::size_t part = std::min(bytes_max - bytes, first.size() - sent_of_first_);
    std::memcpy(to + bytes, first.data() + sent_of_first_, part);
    bytes += part;
    sent_of_first_ += part;
    if (sent_of_first_ == first.size()) {
      queue_.pop_front();
      sent_of_first_ = 0;
    }
  }
  if (bytes > 0) progress_us_ = monotonic_us();
  unsent_.take(bytes);
  drained_.look(unsent_.bytes());
  is_end = ended_ && queue_.empty();
  if (bytes == 0 && !is_end) return -1;
  return static_cast<ssize_t>(bytes);
}

void http2_stream::answer(gate_answer what) {
  if (session_ == nullptr || is_answered_) return;
  unsent_.add(what.body.size());
  what.headers.emplace_back("content-length", std::to_string(what.body.size()));
  if (!what.body.empty()) queue_.push_back(std::move(what.body));
  ended_ = true;
  start(what.status, what.content_type, std::move(what.headers));
}

void http2_stream::begin_stream(unsigned status, std::string_view content_type,
                                http_fields headers) {
  if (session_ == nullptr || is_answered_) return;
  start(status, content_type, std::move(headers));
}

void http2_stream::send(std::string piece) {
  if (session_ == nullptr || piece.empty()) return;
  if (queue_.empty()) progress_us_ = monotonic_us();
  unsent_.add(piece.size());
  queue_.push_back(std::move(piece));
  nghttp2_session_resume_data(session_->raw(), id_);
  session_->write_soon();
}

void http2_stream::end_stream() {
  if (session_ == nullptr) return;
  ended_ = true;
  nghttp2_session_resume_data(session_->raw(), id_);
  session_->write_soon();
}

// --- the session ---------------------------------------------------------------------------------

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

http2_session::http2_session(const session_ground& ground, byte_link& link,
                             std::optional<http2_upgrade> upgrade)
    : ground_(ground),
      link_(link),
      upgrade_(std::move(upgrade)),
      in_(read_bytes),
      idle_since_us_(monotonic_us()) {
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
  std::copy(first_bytes.begin(), first_bytes.end(), in_.begin());
  on_read(first_bytes.size());
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

void http2_session::on_read(std::size_t bytes) {
  in_callbacks_ = true;
  const ssize_t taken =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(in_.data()), bytes);
  in_callbacks_ = false;
  // What breaks the protocol is told to the client by a GOAWAY, which is queued already.
  is_ending_ = taken < 0 || nghttp2_session_want_read(session_) == 0;
  write_soon();
  if (is_closed_ || is_ending_) return;
  link_.read_some(in_.data(), in_.size());
}

/// Writes what there is, unless a write is under way, whose end comes here again.
void http2_session::write_soon() {
  if (is_writing_ || is_closed_ || in_callbacks_) return;
  out_ = std::exchange(prefix_, {});
  while (out_.size() < write_bytes) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count <= 0) break;
    out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
  }
  if (out_.empty()) {
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

}  // namespace

std::unique_ptr<http_session> make_http2_session(const session_ground& ground, byte_link& link,
                                                 std::optional<http2_upgrade> upgrade) {
  return std::make_unique<http2_session>(ground, link, std::move(upgrade));
}

}  // namespace millrace
