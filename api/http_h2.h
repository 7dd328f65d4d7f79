#pragma once
/// HTTP/2 by libnghttp2, which keeps the protocol's own rules (flow control, PING, settings, bounds
/// on resets). A session has a connection's streams; each is a request, whose body goes straight
/// into the arena, and its answer. One thread. Private to api/http_h2*.cc.
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "api/http_session.h"
#include "api/http_upgrade.h"

struct nghttp2_session;

namespace millrace {

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
  void on_bytes(std::string_view bytes) override;
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
  std::string_view prefix_;  // goes out before the first frame
  std::string out_;
  bool is_writing_ = false;
  bool is_closed_ = false;
  bool in_callbacks_ = false;
  bool is_ending_ = false;  // nothing is read any more; what there is to say is still said
  std::uint64_t idle_since_us_ = 0;
  std::uint64_t write_deadline_us_ = UINT64_MAX;
};

}  // namespace millrace
