#include "api/http_gate.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "api/http_connection.h"
#include "api/http_session.h"
#include "base/clock.h"

namespace millrace {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

/// Between two looks at every connection's deadline.
constexpr std::uint64_t tick_period_us = 500'000;
/// Between two tries for a body that waits for room.
constexpr std::uint64_t room_period_us = 2'000;
constexpr std::uint64_t sleep_max_us = 500'000;
/// Rounds without work before a thread sleeps.
constexpr int idle_rounds = 4;
constexpr std::uint64_t accept_retry_us = 100'000;

class gate_thread final : public connection_host {
 public:
  gate_thread(const http_gate_options& options, http_agent& agent, body_pool& bodies)
      : options_(options),
        agent_(agent),
        ground_{.options = options_, .agent = agent, .bodies = bodies, .counts = counts_},
        acceptor_(io_),
        retry_(io_),
        waker_(io_, agent.wake().fd()),
        identity_(options.tls) {}
  ~gate_thread() override {
    connections_.clear();
    waker_.release();  // the descriptor is the agent's
  }

  status listen(const tcp::endpoint& endpoint) {
    error_code failure;
    acceptor_.open(endpoint.protocol(), failure);
    if (!failure) acceptor_.set_option(asio::socket_base::reuse_address(true), failure);
    using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    if (!failure) acceptor_.set_option(reuse_port(true), failure);
    if (!failure) acceptor_.bind(endpoint, failure);
    if (!failure) acceptor_.listen(asio::socket_base::max_listen_connections, failure);
    if (!failure) return {};
    return error(millrace::error_code::io, "listen on " + endpoint.address().to_string() + ":" +
                                               std::to_string(endpoint.port()) + ": " +
                                               failure.message());
  }
  std::uint16_t port() const {
    error_code ignored;
    return acceptor_.local_endpoint(ignored).port();
  }
  void start() {
    accept();
    watch_waker();
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    is_stopping_.store(true, std::memory_order_release);
    agent_.wake().notify();
    if (thread_.joinable()) thread_.join();
  }
  const gate_counts& counts() const { return counts_; }
  void set_identity(std::shared_ptr<const tls_identity> identity) {
    std::lock_guard lock(identity_mutex_);
    identity_ = std::move(identity);
  }

  // --- connection_host ---
  const session_ground& ground() const override { return ground_; }
  std::span<char> read_buffer() override { return read_buffer_; }
  std::shared_ptr<const tls_identity> identity() const override {
    std::lock_guard lock(identity_mutex_);
    return identity_;
  }
  bool begin_handshake() override {
    if (handshakes_ >= options_.handshakes_max) {
      count(counts_.handshakes_refused);
      return false;
    }
    ++handshakes_;
    return true;
  }
  void end_handshake(bool went_well) override {
    --handshakes_;
    count(went_well ? counts_.handshakes : counts_.handshakes_failed);
  }
  void forget(const std::shared_ptr<connection>& one) override {
    if (connections_.erase(one) > 0)
      counts_.connections.store(connections_.size(), std::memory_order_relaxed);
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code failure, tcp::socket socket) {
      if (failure == asio::error::operation_aborted) return;
      if (failure) {
        // Out of descriptors, most likely: trying again at once would spin.
        retry_.expires_after(std::chrono::microseconds(accept_retry_us));
        retry_.async_wait([this](error_code cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      if (connections_.size() >= options_.connections_max) {
        count(counts_.connections_refused);
        socket.close(failure);
      } else {
        socket.set_option(tcp::no_delay(true), failure);
        auto one = std::make_shared<connection>(std::move(socket), *this);
        connections_.insert(one);
        counts_.connections.store(connections_.size(), std::memory_order_relaxed);
        one->start();
      }
      accept();
    });
  }

  void watch_waker() {
    waker_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code failure) {
      if (failure) return;
      // A notification may be written after the sleep it was meant for. Left there, it would be
      // found again and again, and poll() would never come to an end.
      agent_.wake().disarm();
      watch_waker();
    });
  }

  void tick(std::uint64_t now_us) {
    const bool all = now_us >= next_tick_us_;
    if (!all && now_us < next_room_us_) return;
    if (all) {
      next_tick_us_ = now_us + tick_period_us;
      options_.spare->tick(now_us);
    }
    // A session that times out leaves the set.
    const std::vector<std::shared_ptr<connection>> now(connections_.begin(), connections_.end());
    bool waiting = false;
    for (const auto& one : now) {
      if (all || one->is_waiting()) one->tick(now_us);
      waiting = waiting || one->is_waiting();
    }
    next_room_us_ = waiting ? now_us + room_period_us : UINT64_MAX;
  }

  int round(std::uint64_t now_us) {
    int done = static_cast<int>(io_.poll());
    done += agent_.do_work(now_us);
    if (done > 0 && next_room_us_ == UINT64_MAX) next_room_us_ = now_us + room_period_us;
    tick(now_us);
    return done;
  }

  void sleep(std::uint64_t now_us) {
    const std::uint64_t due = std::min({agent_.next_due_us(), next_tick_us_, next_room_us_});
    if (due <= now_us) return;
    agent_.wake().arm();
    if (!agent_.has_work() && !is_stopping_.load(std::memory_order_acquire))
      io_.run_one_for(std::chrono::microseconds(std::min(due - now_us, sleep_max_us)));
    agent_.wake().disarm();
  }

  void run() {
    // OpenSSL writes to sockets that may be closed.
    sigset_t pipe{};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    int idle = 0;
    while (!is_stopping_.load(std::memory_order_acquire)) {
      const std::uint64_t now_us = monotonic_us();
      if (round(now_us) > 0) {
        idle = 0;
      } else if (++idle >= idle_rounds) {
        sleep(now_us);
      }
    }
    drain();
  }

  /// No new connections and requests; what the agent has in hand is still answered.
  void drain() {
    error_code ignored;
    acceptor_.close(ignored);
    const std::uint64_t until_us = monotonic_us() + options_.drain_us;
    while (monotonic_us() < until_us && !agent_.drain(monotonic_us())) {
      io_.poll();
      agent_.do_work(monotonic_us());
      agent_.wake().wait(1000, [this] { return agent_.has_work(); });
    }
    for (int i = 0; i < 100 && io_.poll() > 0; ++i) {  // answers on their way out
    }
    const std::vector<std::shared_ptr<connection>> left(connections_.begin(), connections_.end());
    for (const auto& one : left)
      one->close();
    agent_.abandon();
    io_.poll();
  }

  const http_gate_options options_;
  http_agent& agent_;
  gate_counts counts_;
  const session_ground ground_;
  // Only this thread touches it once it runs: no locks in it.
  asio::io_context io_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::posix::stream_descriptor waker_;
  std::vector<char> read_buffer_ = std::vector<char>(read_turn_bytes);
  std::set<std::shared_ptr<connection>> connections_;
  std::uint32_t handshakes_ = 0;  // under way
  mutable std::mutex identity_mutex_;
  std::shared_ptr<const tls_identity> identity_;
  std::uint64_t next_tick_us_ = 0;
  std::uint64_t next_room_us_ = UINT64_MAX;
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

/// Threads share the port by SO_REUSEPORT, which would let another process share it as well, and
/// take half of the connections, without anybody noticing.
status check_free(const tcp::endpoint& endpoint) {
  if (endpoint.port() == 0) return {};
  asio::io_context io;
  tcp::acceptor probe(io);
  error_code failure;
  probe.open(endpoint.protocol(), failure);
  if (!failure) probe.set_option(asio::socket_base::reuse_address(true), failure);
  if (!failure) probe.bind(endpoint, failure);
  if (!failure) return {};
  return error(millrace::error_code::io, "bind to " + endpoint.address().to_string() + ":" +
                                             std::to_string(endpoint.port()) + ": " +
                                             failure.message());
}

class gate final : public http_gate {
 public:
  gate(const http_gate_options& options, const std::vector<http_agent*>& agents, body_pool& bodies)
      : unsent_(options.unsent) {
    for (http_agent* const agent : agents)
      threads_.push_back(std::make_unique<gate_thread>(options, *agent, bodies));
  }
  ~gate() override { stop(); }

  status listen(const http_gate_options& options) {
    error_code failure;
    const auto address = asio::ip::make_address(options.host, failure);
    if (failure)
      return error(millrace::error_code::invalid_argument,
                   "'" + options.host + "' is not an IP address");
    port_ = options.port;
    MILLRACE_TRY(check_free(tcp::endpoint(address, port_)));
    for (const auto& one : threads_) {
      MILLRACE_TRY(one->listen(tcp::endpoint(address, port_)));
      port_ = one->port();
    }
    for (const auto& one : threads_)
      one->start();
    return {};
  }

  std::uint16_t port() const override { return port_; }
  http_gate_counters counters() const override {
    http_gate_counters all;
    all.unsent_bytes = unsent_->load(std::memory_order_relaxed);
    for (const auto& one : threads_) {
      all.requests += one->counts().requests.load();
      all.connections += one->counts().connections.load();
      all.connections_refused += one->counts().connections_refused.load();
      all.requests_refused += one->counts().requests_refused.load();
      all.timeouts += one->counts().timeouts.load();
      all.handshakes += one->counts().handshakes.load();
      all.handshakes_failed += one->counts().handshakes_failed.load();
      all.handshakes_refused += one->counts().handshakes_refused.load();
      all.bytes_received += one->counts().bytes_received.load();
      all.bytes_sent += one->counts().bytes_sent.load();
      all.bodies_refused += one->counts().bodies_refused.load();
    }
    for (std::size_t label = 0; label < http_exchange::labels_max; ++label) {
      for (std::size_t i = 0; i < counted_statuses.size(); ++i) {
        std::uint64_t sum = 0;
        for (const auto& one : threads_)
          sum += one->counts().answers[label][i].load();
        if (sum > 0)
          all.answers.push_back({static_cast<std::uint8_t>(label), counted_statuses[i], sum});
      }
    }
    return all;
  }
  void set_identity(std::shared_ptr<const tls_identity> identity) override {
    for (const auto& one : threads_)
      one->set_identity(identity);
  }
  void stop() override {
    for (const auto& one : threads_)
      one->stop();
  }

 private:
  const std::shared_ptr<const std::atomic<std::uint64_t>> unsent_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<gate_thread>> threads_;
};

}  // namespace

void count_answer(gate_counts& counts, std::uint8_t label, unsigned status) {
  const auto at = std::find(counted_statuses.begin(), std::prev(counted_statuses.end()), status);
  count(counts.answers[label][static_cast<std::size_t>(at - counted_statuses.begin())]);
}

void count_refusal(gate_counts& counts, unsigned status) {
  count(counts.requests_refused);
  if (status == 413 || status == 503) count(counts.bodies_refused);
}

std::string_view gate_request::header(std::string_view name) const {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  for (const auto& [key, value] : headers) {
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [&](char a, char b) { return lower(a) == lower(b); }))
      return value;
  }
  return {};
}

result<std::unique_ptr<http_gate>> http_gate::start(const http_gate_options& options,
                                                    const std::vector<http_agent*>& agents,
                                                    body_pool& bodies) {
  auto one = std::make_unique<gate>(options, agents, bodies);
  MILLRACE_TRY(one->listen(options));
  return std::unique_ptr<http_gate>(std::move(one));
}

}  // namespace millrace
