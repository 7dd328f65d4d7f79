#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_client.h"
#include "api/http_gate.h"
#include "api/http_session.h"
#include "api/http_tls.h"
#include "base/arena.h"

namespace millrace {
namespace {

/// Answers each request with as many bytes as its path says.
class counting_agent final : public http_agent {
 public:
  bool admit(http_exchange&, std::uint64_t) override { return true; }
  void handle(std::shared_ptr<http_exchange> exchange) override {
    const std::string text(exchange->request().target.substr(1));
    const std::size_t bytes = text.empty() ? 2 : std::stoul(text);
    exchange->answer({.status = 200,
                      .content_type = "text/plain",
                      .headers = {},
                      .body = std::string(bytes, 'x')});
  }
  int do_work(std::uint64_t) override { return 0; }
  std::uint64_t next_due_us() const override { return UINT64_MAX; }
  bool has_work() const override { return false; }
  waker& wake() override { return waker_; }
  bool drain(std::uint64_t) override { return true; }
  void abandon() override {}

 private:
  waker waker_;
};

struct pem_pair {
  std::string certificate;
  std::string key;
};

pem_pair make_pair() {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  const auto text_of = [](auto write) {
    BIO* const out = BIO_new(BIO_s_mem());
    write(out);
    char* text = nullptr;
    const long bytes = BIO_get_mem_data(out, &text);
    std::string made(text, static_cast<std::size_t>(bytes));
    BIO_free(out);
    return made;
  };
  pem_pair made{.certificate = text_of([&](BIO* to) { PEM_write_bio_X509(to, certificate); }),
                .key = text_of([&](BIO* to) {
                  PEM_write_bio_PrivateKey(to, key, nullptr, nullptr, 0, nullptr, nullptr);
                })};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return made;
}

/// A client's socket.
class plain_client {
 public:
  explicit plain_client(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int small = 4096;  // so that an answer that is not read fills it soon
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  ~plain_client() { close(fd_); }
  plain_client(const plain_client&) = delete;
  plain_client& operator=(const plain_client&) = delete;

  void send(std::string_view text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// All that comes until the server ends the connection.
  std::string read_all() {
    std::string out;
    std::array<char, 4096> some{};
    for (ssize_t got = 0; (got = recv(fd_, some.data(), some.size(), 0)) > 0;)
      out.append(some.data(), static_cast<std::size_t>(got));
    return out;
  }
  std::string read_some() {
    std::array<char, 4096> some{};
    const ssize_t got = recv(fd_, some.data(), some.size(), 0);
    return {some.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }

 private:
  const int fd_;
};

class gate : public testing::Test {
 protected:
  void start() {
    auto memory = arena::create({.bytes = 8 * limits::mib});
    ASSERT_TRUE(memory.ok());
    memory_ = std::make_unique<arena>(*std::move(memory));
    auto bodies = body_pool::create(*memory_, 4 * limits::mib);
    ASSERT_TRUE(bodies.ok());
    bodies_ = *std::move(bodies);
    auto started = http_gate::start(options, {&agent_}, *bodies_);
    ASSERT_TRUE(started.ok()) << started.failure().message();
    gate_ = *std::move(started);
  }
  void start_tls() {
    const pem_pair pair = make_pair();
    auto identity = tls_identity::create(pair.certificate, pair.key);
    ASSERT_TRUE(identity.ok()) << identity.failure().message();
    options.tls = *std::move(identity);
    start();
  }
  void TearDown() override {
    if (gate_) gate_->stop();
  }
  std::uint16_t port() const { return gate_->port(); }
  http_gate_counters counters() const { return gate_->counters(); }
  template <class Condition>
  void wait_until(Condition condition) const {
    while (!condition())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }

  http_gate_options options;

  waker& agents_waker() { return agent_.wake(); }
  void stop() { gate_->stop(); }

 private:
  std::unique_ptr<arena> memory_;
  std::unique_ptr<body_pool> bodies_;
  counting_agent agent_;
  std::unique_ptr<http_gate> gate_;
};

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(gate, a_silent_handshake_is_ended_in_time) {
  options.handshake_timeout_us = 20'000;
  start_tls();
  plain_client client(port());
  client.send("\x16\x03\x01");
  EXPECT_EQ(client.read_all(), "");
  wait_until([&] { return counters().handshakes_failed == 1 && counters().connections == 0; });
  EXPECT_EQ(counters().timeouts, 1u);
}

TEST_F(gate, handshakes_beyond_the_limit_are_closed_and_counted) {
  options.handshakes_max = 2;
  start_tls();
  plain_client first(port());
  plain_client second(port());
  first.send("\x16");
  second.send("\x16");
  plain_client silent(port());  // has not begun one
  wait_until([&] { return counters().connections == 3; });
  // Which of them come third is for the kernel to say; the limit is 2 in any case.
  plain_client third(port());
  plain_client fourth(port());
  third.send("\x16");
  fourth.send("\x16");
  wait_until([&] { return counters().handshakes_refused == 2; });
  EXPECT_EQ(counters().connections, 3u);
}

TEST_F(gate, a_head_that_does_not_end_is_ended_in_time) {
  options.head_timeout_us = 20'000;
  start();
  for (const std::string_view text :
       {"GET / HT", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nA: b\r\n"}) {
    plain_client client(port());
    client.send(text);
    EXPECT_EQ(client.read_all(), "");
  }
  EXPECT_EQ(counters().timeouts, 3u);
}

TEST_F(gate, a_connection_that_asks_for_nothing_is_ended_in_time) {
  options.idle_timeout_us = 20'000;
  start();
  plain_client client(port());
  client.send(get);
  const std::string all = client.read_all();
  EXPECT_TRUE(all.starts_with("HTTP/1.1 200 ")) << all;
  EXPECT_EQ(counters().timeouts, 1u);
}

TEST_F(gate, an_answer_that_is_not_taken_is_given_up_in_time) {
  options.send_timeout_us = 20'000;
  start();
  plain_client client(port());
  client.send("GET /30000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  wait_until([&] { return counters().timeouts == 1; });
  // It is counted before it is done.
  wait_until([&] { return counters().connections == 0 && counters().unsent_bytes == 0; });
  EXPECT_EQ(counters().timeouts, 1u);
}

/// A frame of HTTP/2.
std::string frame(char kind, char flags, char stream, std::string_view payload) {
  std::string out{'\0',
                  static_cast<char>(payload.size() >> 8),
                  static_cast<char>(payload.size()),
                  kind,
                  flags,
                  '\0',
                  '\0',
                  '\0',
                  stream};
  return out.append(payload);
}

TEST_F(gate, an_http_2_stream_whose_window_stays_shut_is_reset_in_time) {
  options.send_timeout_us = 20'000;
  start();
  plain_client client(port());
  using std::string_view_literals::operator""sv;
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"sv);
  client.send(frame(4, 0, 0, "\0\4\0\0\0\0"sv));  // SETTINGS_INITIAL_WINDOW_SIZE 0
  // GET (2), scheme http (6), :path /100 and :authority a as literals.
  client.send(frame(1, 5, 1,
                    "\x82\x86\x04\x04/100\x01\x01"
                    "a"sv));
  const std::string reset = frame(3, 0, 1, "\0\0\0\x8"sv);  // CANCEL
  std::string got;
  while (got.find(reset) == std::string::npos) {
    const std::string more = client.read_some();
    ASSERT_FALSE(more.empty()) << "the connection has ended";
    got += more;
  }
  EXPECT_EQ(counters().timeouts, 1u);
  wait_until([&] { return counters().unsent_bytes == 0; });
}

/// Of the heap, in use. Sanitizers have one of their own, of which this knows nothing.
std::size_t heap_bytes() {
  const auto now = mallinfo2();
  return now.uordblks + now.hblkhd;
}

constexpr std::size_t large_answer = 60'000;
constexpr std::size_t idle_clients = 50;

/// What each of many connections holds after it was sent that and has given a large answer.
std::size_t held_after(std::uint16_t port, std::string_view request) {
  std::vector<std::unique_ptr<plain_client>> clients;
  clients.reserve(idle_clients);
  const std::size_t before = heap_bytes();
  for (std::size_t i = 0; i < idle_clients; ++i) {
    clients.push_back(std::make_unique<plain_client>(port));
    clients.back()->send(request);
    for (std::ptrdiff_t left = large_answer; left > 0;) {
      const std::string some = clients.back()->read_some();
      if (some.empty()) throw std::runtime_error("the connection has ended");
      left -= std::count(some.begin(), some.end(), 'x');
    }
  }
  // After an answer on another connection the thread is done with what was there before.
  plain_client last(port);
  last.send(get);
  last.read_some();
  return (heap_bytes() - before) / idle_clients;
}

TEST_F(gate, an_idle_connection_holds_little_however_large_its_last_request_and_answer) {
  start();
  const std::string request =
      "GET /60000 HTTP/1.1\r\nHost: a\r\nA: " + std::string(8000, 'a') + "\r\n\r\n";
  EXPECT_LT(held_after(port(), request), 4 * limits::kib);
}

TEST_F(gate, an_idle_http_2_connection_holds_little_however_large_its_last_answer) {
  start();
  using std::string_view_literals::operator""sv;
  const std::string request = std::string(http2_preface) + frame(4, 0, 0, {}) +
                              frame(1, 5, 1,
                                    "\x82\x86\x04\x06/60000\x01\x01"
                                    "a"sv);
  EXPECT_LT(held_after(port(), request), 32 * limits::kib);
}

TEST_F(gate, requests_are_counted_by_status_and_so_are_bytes) {
  options.body_bytes_max = 1000;
  start();
  {
    plain_client client(port());
    client.send("GET /500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_GT(client.read_all().size(), 500u);
  }
  {
    plain_client client(port());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    EXPECT_TRUE(client.read_some().starts_with("HTTP/1.1 413 "));
  }
  const http_gate_counters all = counters();
  ASSERT_EQ(all.answers.size(), 2u);
  EXPECT_EQ(all.answers[0].status, 200u);
  EXPECT_EQ(all.answers[0].count, 1u);
  EXPECT_EQ(all.answers[1].status, 413u);
  EXPECT_EQ(all.bodies_refused, 1u);
  EXPECT_EQ(all.requests, 1u);
  EXPECT_GT(all.bytes_sent, 500u);
  EXPECT_GT(all.bytes_received, 90u);
}

TEST(tls_identity, what_is_no_pair_is_refused_with_a_reason) {
  const pem_pair one = make_pair();
  const pem_pair other = make_pair();
  ASSERT_TRUE(tls_identity::create(one.certificate + other.certificate, one.key).ok());
  const auto reason = [](const std::string& certificate, const std::string& key) {
    auto made = tls_identity::create(certificate, key);
    EXPECT_FALSE(made.ok());
    return made.ok() ? std::string() : made.failure().message();
  };
  EXPECT_NE(reason(one.certificate, other.key).find("not the key of the certificate"),
            std::string::npos);
  EXPECT_NE(reason("", one.key).find("no certificate in PEM"), std::string::npos);
  EXPECT_NE(reason(one.certificate, "").find("no private key in PEM"), std::string::npos);
  const std::string cut = one.certificate + other.certificate.substr(0, 200);
  EXPECT_NE(reason(cut, one.key).find("chain is damaged"), std::string::npos);
}

TEST_F(gate, a_notification_that_comes_late_does_not_keep_its_thread_busy_for_ever) {
  start();
  // What notify() does when it was overtaken between its look at the flag and its write.
  const std::uint64_t one = 1;
  ASSERT_EQ(write(agents_waker().fd(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  auto client = http_client::create("127.0.0.1", port());
  for (int i = 0; i < 3; ++i) {
    auto reply = client->call({.method = "POST", .target = "/5"});
    ASSERT_TRUE(reply.ok()) << reply.failure().message();
    EXPECT_EQ(reply->body, "xxxxx");
  }
  // A thread that spins cannot be joined: this would wait until the test's time is over.
  stop();
}

}  // namespace
}  // namespace millrace
