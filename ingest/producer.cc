#include "ingest/producer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/waker.h"
#include "ingest/producer_engine.h"
#include "ingest/udp_source.h"

namespace millrace {
namespace {

/// How long the thread sleeps at most when the source has no descriptor to wait on.
constexpr std::uint64_t blind_sleep_us = 50;
/// A full socket buffer drains within this.
constexpr std::uint64_t refused_sleep_us = 100;
constexpr std::uint64_t sleep_us_max = 10'000'000;
constexpr std::uint64_t publish_us = 10'000;

status check(const producer_options& options) {
  if (options.stream.empty() || options.stream.size() > limits::stream_name_chars_max) {
    return error(error_code::invalid_argument, "stream name of " +
                                                   std::to_string(options.stream.size()) +
                                                   " characters: it must have 1 to " +
                                                   std::to_string(limits::stream_name_chars_max));
  }
  if (options.datagram_bytes_max < limits::datagram_bytes_min) {
    return error(error_code::invalid_argument,
                 "datagram_bytes_max " + std::to_string(options.datagram_bytes_max) + " is under " +
                     std::to_string(limits::datagram_bytes_min));
  }
  if (options.key && options.key->key_id == 0) {
    return error(error_code::invalid_argument, "key id 0 stands for no key");
  }
  if (options.identity && options.identity->value == 0) {
    return error(error_code::invalid_argument, "producer identity 0 stands for none");
  }
  return {};
}

producer_id random_identity() {
  return producer_id(make_uint128(random_u64() | 1, random_u64()));
}

class threaded_producer final : public producer, public engine_listener {
 public:
  /// `memory`: what the source's buffers lie in, when nobody else owns it.
  threaded_producer(std::unique_ptr<arena> memory, std::unique_ptr<packet_source> source,
                    const endpoint& server, producer_options options, outcome_handler on_outcome)
      : options_(std::move(options)),
        memory_(std::move(memory)),
        source_(std::move(source)),
        server_(server),
        on_outcome_(std::move(on_outcome)) {}
  ~threaded_producer() override { close(); }

  status open();

  record_number next_record() const override { return record_number(buffer_->end()); }
  result<record_number> send(std::string_view key, byte_view data,
                             const uint128* hash_key) override {
    return buffer_->append(key, data, hash_key);
  }
  status flush(std::uint64_t timeout_us) override;
  void close() override;
  producer_statistics statistics() const override;

 private:
  // engine_listener, on the thread
  void opened() override;
  void outcome(const record_outcome& what) override {
    if (on_outcome_) on_outcome_(what);
  }
  void failed(const error& why) override;
  void trouble(const std::string& what) override;

  void run();
  std::uint32_t receive();
  void sleep(bool is_refused);
  void publish(std::uint64_t now_us, bool at_once);

  const producer_options options_;
  std::unique_ptr<arena> memory_;
  std::unique_ptr<packet_source> source_;
  const endpoint server_;
  outcome_handler on_outcome_;
  waker waker_;
  std::unique_ptr<producer_buffer> buffer_;
  std::unique_ptr<producer_engine> engine_;
  producer_stage stage_;
  std::array<received_packet, limits::burst_packets_max> received_;
  std::uint64_t published_us_ = 0;

  std::atomic<bool> is_stopping_{false};
  std::atomic<std::uint64_t> flush_wanted_{0};  ///< records below do not linger

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_opened_ = false;
  std::optional<error> failure_;
  std::uint64_t settled_ = 0;
  std::uint64_t first_record_ = 0;
  producer_statistics statistics_;
  std::string last_trouble_;
  std::thread thread_;
};

status threaded_producer::open() {
  MILLRACE_ASSIGN(buffer_, producer_buffer::create(options_.buffer_bytes_max, waker_));
  const producer_id identity = options_.identity.value_or(random_identity());
  engine_ = std::make_unique<producer_engine>(options_, identity, server_,
                                              source_->datagram_bytes_max(), *buffer_, *this);
  thread_ = std::thread([this] { run(); });
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::microseconds(options_.connect_timeout_us),
                    [this] { return is_opened_ || failure_; });
  if (failure_) return *failure_;
  if (is_opened_) return {};
  return error(error_code::timed_out,
               "no session with " + to_string(server_) + " within " +
                   std::to_string(options_.connect_timeout_us / 1000) + " ms" +
                   (last_trouble_.empty() ? ": no answer" : ": " + last_trouble_));
}

status threaded_producer::flush(std::uint64_t timeout_us) {
  const std::uint64_t wanted = buffer_->end();
  std::uint64_t seen = flush_wanted_.load();
  while (seen < wanted && !flush_wanted_.compare_exchange_weak(seen, wanted)) {
  }
  waker_.notify();
  std::unique_lock lock(mutex_);
  const bool done = changed_.wait_for(lock, std::chrono::microseconds(timeout_us),
                                      [&] { return settled_ >= wanted || is_stopping_.load(); });
  if (settled_ >= wanted) {
    if (failure_) return *failure_;
    return {};
  }
  if (done) return error(error_code::unavailable, "the producer was closed");
  return error(error_code::timed_out, std::to_string(wanted - settled_) +
                                          " records are not settled after " +
                                          std::to_string(timeout_us / 1000) + " ms" +
                                          (last_trouble_.empty() ? "" : ": " + last_trouble_));
}

void threaded_producer::close() {
  if (buffer_) buffer_->refuse({error_code::unavailable, "the producer was closed"});
  {
    std::lock_guard lock(mutex_);
    is_stopping_.store(true);
  }
  changed_.notify_all();
  waker_.notify();
  if (thread_.joinable()) thread_.join();
}

producer_statistics threaded_producer::statistics() const {
  std::lock_guard lock(mutex_);
  producer_statistics now = statistics_;
  now.records_sent = buffer_->end() - first_record_;
  now.last_trouble = last_trouble_;
  return now;
}

void threaded_producer::opened() {
  {
    std::lock_guard lock(mutex_);
    is_opened_ = true;
    first_record_ = buffer_->end();
    settled_ = engine_->settled();
  }
  changed_.notify_all();
}

void threaded_producer::failed(const error& why) {
  buffer_->refuse(why);
  {
    std::lock_guard lock(mutex_);
    failure_ = why;
    last_trouble_ = why.message();
  }
  changed_.notify_all();
}

void threaded_producer::trouble(const std::string& what) {
  std::lock_guard lock(mutex_);
  last_trouble_ = what;
}

void threaded_producer::run() {
  source_->adopt_thread();
  engine_->start(monotonic_us());
  while (!is_stopping_.load(std::memory_order_relaxed)) {
    const std::uint32_t came = receive();
    const std::uint64_t now_us = monotonic_us();
    const bool no_linger = flush_wanted_.load(std::memory_order_relaxed) > engine_->settled();
    const std::uint32_t built = engine_->do_work(now_us, no_linger, stage_);
    const bool is_refused = !stage_.empty() && !stage_.send(*source_);
    const bool is_idle = came == 0 && (built == 0 || is_refused);
    publish(now_us, is_idle || no_linger);
    if (is_idle) sleep(is_refused);
  }
  engine_->build_close(monotonic_us(), stage_);
  static_cast<void>(stage_.send(*source_));
  publish(monotonic_us(), true);
}

std::uint32_t threaded_producer::receive() {
  const std::uint32_t count = source_->receive(received_);
  if (count == 0) return 0;
  const std::uint64_t now_us = monotonic_us();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (received_[i].from.port == server_.port && received_[i].from.address == server_.address) {
      engine_->on_datagram(received_[i].bytes, now_us);
    }
    source_->release(received_[i].buffer);
  }
  return count;
}

void threaded_producer::sleep(bool is_refused) {
  const std::uint64_t deadline_us = engine_->deadline_us();
  const std::uint64_t now_us = monotonic_us();
  if (deadline_us <= now_us && !is_refused) return;
  std::uint64_t timeout_us =
      is_refused ? refused_sleep_us : std::min(deadline_us - now_us, sleep_us_max);
  if (source_->poll_fd() < 0) timeout_us = std::min(timeout_us, blind_sleep_us);

  const std::uint64_t wake_position = is_refused ? UINT64_MAX : engine_->wake_position();
  const std::uint64_t flush_seen = flush_wanted_.load();
  waker_.arm();
  buffer_->wake_at(wake_position);
  // Whatever came between the work and the wish to be woken would go unnoticed.
  const bool has_work = is_stopping_.load() || flush_wanted_.load() != flush_seen ||
                        buffer_->position(buffer_->end()) >= wake_position;
  if (!has_work) {
    pollfd on[2] = {{.fd = waker_.fd(), .events = POLLIN, .revents = 0},
                    {.fd = source_->poll_fd(), .events = POLLIN, .revents = 0}};
    const timespec timeout{.tv_sec = static_cast<time_t>(timeout_us / 1'000'000),
                           .tv_nsec = static_cast<long>(timeout_us % 1'000'000 * 1000)};
    ppoll(on, source_->poll_fd() < 0 ? 1 : 2, &timeout, nullptr);
  }
  buffer_->no_wake();
  waker_.disarm();
}

void threaded_producer::publish(std::uint64_t now_us, bool at_once) {
  if (!at_once && now_us < published_us_ + publish_us) return;
  published_us_ = now_us;
  bool has_settled = false;
  {
    std::lock_guard lock(mutex_);
    has_settled = settled_ != engine_->settled();
    settled_ = engine_->settled();
    statistics_ = engine_->statistics();
    statistics_.datagrams_sent = stage_.datagrams_sent();
  }
  if (has_settled) changed_.notify_all();
}

}  // namespace

namespace {

result<std::unique_ptr<producer>> start(std::unique_ptr<arena> memory,
                                        std::unique_ptr<packet_source> source,
                                        const endpoint& server, const producer_options& options,
                                        producer::outcome_handler on_outcome) {
  MILLRACE_TRY(check(options));
  auto made = std::make_unique<threaded_producer>(std::move(memory), std::move(source), server,
                                                  options, std::move(on_outcome));
  if (status opened = made->open(); !opened.ok()) {
    return std::move(opened).failure().with_context("connecting to stream '" + options.stream +
                                                    "'");
  }
  return std::unique_ptr<producer>(std::move(made));
}

/// A host's first address, as text.
result<std::string> resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int fault = getaddrinfo(host.c_str(), nullptr, &hints, &found); fault != 0) {
    return error(error_code::not_found, "host '" + host + "': " + gai_strerror(fault));
  }
  char text[NI_MAXHOST] = {};
  const int fault =
      getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  freeaddrinfo(found);
  if (fault != 0) {
    return error(error_code::not_found, "host '" + host + "': " + gai_strerror(fault));
  }
  return std::string(text);
}

}  // namespace

result<std::unique_ptr<producer>> producer::connect(std::unique_ptr<packet_source> source,
                                                    const endpoint& server,
                                                    const producer_options& options,
                                                    outcome_handler on_outcome) {
  return start(nullptr, std::move(source), server, options, std::move(on_outcome));
}

result<std::unique_ptr<producer>> producer::connect(const std::string& host, std::uint16_t port,
                                                    const producer_options& options,
                                                    outcome_handler on_outcome) {
  MILLRACE_ASSIGN(const std::string address, resolve(host));
  MILLRACE_ASSIGN(const endpoint server, to_endpoint({.host = address, .port = port}));
  // Answers are small and few: what the open slabs need, and some for those still being read.
  constexpr std::uint32_t slabs = udp_open_slabs + 8;
  MILLRACE_ASSIGN(arena memory, arena::create({.bytes = std::uint64_t{slabs} * udp_slab_bytes,
                                               .try_hugetlb = false}));
  auto owned = std::make_unique<arena>(std::move(memory));
  udp_source_options udp;
  udp.listen = {{.host = server.family == 6 ? "::" : "0.0.0.0", .port = 0}};
  udp.slabs = slabs;
  MILLRACE_ASSIGN(auto source, udp_source::create(*owned, udp));
  return start(std::move(owned), std::move(source), server, options, std::move(on_outcome));
}

}  // namespace millrace
