// One stream of HTTP/2: what it makes of a request's headers, and what it sends as its answer.
#include <algorithm>
#include <cstring>

#include <nghttp2/nghttp2.h>

#include "api/http_cors.h"
#include "api/http_h2.h"
#include "base/clock.h"

namespace millrace {

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

}  // namespace millrace
