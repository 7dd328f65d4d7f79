#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/http_session.h"
#include "base/arena.h"
#include "base/check.h"

namespace millrace {
namespace {

/// Answers whatever comes: at once or later, whole or in pieces, in time or when nobody is there
/// any more. Which of them, the length of the target says.
class answering_agent final : public http_agent {
 public:
  bool admit(http_exchange& exchange, std::uint64_t body_bytes) override {
    if (body_bytes != unwanted_bytes) return true;
    exchange.answer({.status = 403, .content_type = "a/b", .headers = {}, .body = "no"});
    return false;
  }
  void handle(std::shared_ptr<http_exchange> exchange) override {
    const gate_request& request = exchange->request();
    for (const std::byte each : request.body)
      sum_ += static_cast<unsigned>(each);
    const std::string body(request.target.size() + request.body.size(), 'x');
    if (request.target.size() % 2 == 0) {
      exchange->begin_stream(200, "a/b", {});
      exchange->send(body);
    }
    if (request.target.size() % 3 != 0) {
      held_.push_back({exchange, exchange->take_body(), body});
    } else {
      end(*exchange, body);
    }
  }
  /// Another piece of what is held, or the end of it.
  void go_on() {
    for (held& one : std::exchange(held_, {})) {
      one.exchange->send(one.body);
      if (--one.rounds > 0 && one.exchange->is_open()) {
        held_.push_back(std::move(one));
      } else {
        end(*one.exchange, one.body);
      }
    }
  }
  int do_work(std::uint64_t) override { return 0; }
  std::uint64_t next_due_us() const override { return UINT64_MAX; }
  bool has_work() const override { return false; }
  waker& wake() override { return waker_; }
  bool drain(std::uint64_t) override { return true; }
  void abandon() override { held_.clear(); }

 private:
  static constexpr std::uint64_t unwanted_bytes = 13;
  struct held {
    std::shared_ptr<http_exchange> exchange;
    body_room room;
    std::string body;
    int rounds = 2;
  };

  static void end(http_exchange& exchange, const std::string& body) {
    if (exchange.request().target.size() % 2 == 0) return exchange.end_stream();
    exchange.answer(
        {.status = 200, .content_type = "a/b", .headers = {{"X-Y", "z"}}, .body = body});
  }

  waker waker_;
  std::vector<held> held_;
  std::uint64_t sum_ = 0;
};

/// A connection without a socket: whatever is written is taken.
class memory_link final : public byte_link {
 public:
  void read_some(char*, std::size_t) override {}
  void read_any(std::size_t) override { wants_more = true; }
  void write(std::string_view, std::string_view) override { is_writing = true; }
  void finish_sending() override {}
  void close() override { is_closed = true; }
  bool is_refused() const override { return false; }
  void become_http2(http2_upgrade) override {}

  bool wants_more = false;
  bool is_writing = false;
  bool is_closed = false;
};

/// Calls nothing back from within a call, as the gate's connections do.
void take_what_was_written(http_session& session, memory_link& link) {
  while (link.is_writing && !link.is_closed) {
    link.is_writing = false;
    session.on_written();
  }
}

}  // namespace
}  // namespace millrace

/// The first byte says in which parts the rest arrives, behind a preface: its low six bits are
/// their bytes, its high bit sends an empty SETTINGS first, without which nothing gets far. With
/// the bit between, the connection is one of HTTP/1.1 that was upgraded: then a byte says how many
/// more are its HTTP2-Settings. Whatever comes, no answer and no body's room is left at the end.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  if (size < 2) return 0;
  static arena memory = *arena::create({.bytes = 8 * limits::mib});
  static const std::unique_ptr<body_pool> bodies = *body_pool::create(memory, 4 * limits::mib);
  static const http_gate_options options = [] {
    http_gate_options made;
    made.body_bytes_max = limits::mib;
    made.cors_origins = {"https://a.b"};
    return made;
  }();
  static answering_agent agent;
  gate_counts counts;
  const session_ground ground{
      .options = options, .agent = agent, .bodies = *bodies, .counts = counts};
  memory_link link;
  std::string rest(reinterpret_cast<const char*>(bytes + 1), size - 1);
  std::optional<http2_upgrade> upgrade;
  if ((bytes[0] & 0x40) != 0) {
    const std::size_t settings = static_cast<unsigned char>(rest[0]);
    upgrade = http2_upgrade{.settings = rest.substr(1, settings),
                            .method = "POST",
                            .target = "/abc",
                            .headers = {{"host", "a"}},
                            .room = body_room(*bodies, bodies->reserve(http_gate::body_padding)),
                            .body_bytes = 0,
                            .first_bytes = {}};
    rest.erase(0, settings + 1);
  }
  if ((bytes[0] & 0x80) != 0) rest.insert(0, std::string_view("\0\0\0\4\0\0\0\0\0", 9));
  const std::size_t part = std::max(bytes[0] & 0x3f, 1);
  {
    const auto session = make_http2_session(ground, link, std::move(upgrade));
    session->start(http2_preface);
    take_what_was_written(*session, link);
    for (std::size_t at = 0; at < rest.size() && link.wants_more && !link.is_closed; at += part) {
      link.wants_more = false;
      session->on_bytes(std::string_view(rest).substr(at, part));
      take_what_was_written(*session, link);
      agent.go_on();
      take_what_was_written(*session, link);
    }
    session->tick(UINT64_MAX / 4);
    session->on_closed();
    agent.go_on();
  }
  agent.go_on();
  agent.abandon();
  MILLRACE_CHECK(options.unsent->load() == 0, "an answer is still counted");
  MILLRACE_CHECK(bodies->free_bytes() == bodies->bytes(), "a body's room is still taken");
  return 0;
}
