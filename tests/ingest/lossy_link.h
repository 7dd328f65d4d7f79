#pragma once
/// A network between one server and its clients, in memory: loses, repeats, delays and so reorders
/// datagrams, seeded. Each end is a packet_source like any other.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "ingest/packet_source.h"

namespace millrace::testing_parts {

/// What happens to datagrams in one direction.
struct link_conditions {
  double loss = 0;
  double duplication = 0;
  std::uint64_t delay_us_min = 0;
  std::uint64_t delay_us_max = 0;  ///< evenly between: what is sent later may arrive earlier
  std::uint32_t datagram_bytes_max = limits::datagram_bytes_max;  ///< larger ones vanish
  bool refuses_large = false;  ///< or are refused by send(), as by a link that knows its MTU
  bool is_cut = false;
};

class lossy_link : public std::enable_shared_from_this<lossy_link> {
 public:
  static std::shared_ptr<lossy_link> make(std::uint64_t seed) {
    return std::shared_ptr<lossy_link>(new lossy_link(seed));
  }

  /// Port 0 is the server; there is one end a port.
  std::unique_ptr<packet_source> end(std::uint16_t port);
  void to_server(const link_conditions& now) { set(to_server_, now); }
  void to_clients(const link_conditions& now) { set(to_clients_, now); }
  std::uint64_t delivered() const {
    std::lock_guard lock(mutex_);
    return delivered_;
  }

 private:
  friend class link_end;
  struct arrival {
    std::vector<std::byte> bytes;
    std::uint16_t from = 0;
  };
  struct inbox {
    std::multimap<std::uint64_t, arrival> waiting;  ///< by the time it arrives
    int timer = -1;
  };

  explicit lossy_link(std::uint64_t seed) : random_(seed) {}
  void set(link_conditions& which, const link_conditions& now) {
    std::lock_guard lock(mutex_);
    which = now;
  }

  bool send(std::uint16_t from, std::uint16_t to, byte_view bytes) {
    std::lock_guard lock(mutex_);
    const link_conditions& now = to == 0 ? to_server_ : to_clients_;
    if (bytes.size() > now.datagram_bytes_max) return !now.refuses_large;
    const auto found = inboxes_.find(to);
    if (now.is_cut || found == inboxes_.end()) return true;
    std::uniform_real_distribution<double> chance(0, 1);
    const int copies = (chance(random_) < now.loss ? 0 : 1) + (chance(random_) < now.duplication);
    for (int i = 0; i < copies; ++i) {
      std::uniform_int_distribution<std::uint64_t> delay(now.delay_us_min, now.delay_us_max);
      found->second.waiting.emplace(monotonic_us() + delay(random_),
                                    arrival{{bytes.begin(), bytes.end()}, from});
    }
    arm(found->second);
    return true;
  }

  bool receive(std::uint16_t port, arrival& out) {
    std::lock_guard lock(mutex_);
    inbox& box = inboxes_.at(port);
    const bool ripe = !box.waiting.empty() && box.waiting.begin()->first <= monotonic_us();
    if (ripe) {
      out = std::move(box.waiting.begin()->second);
      box.waiting.erase(box.waiting.begin());
      ++delivered_;
    }
    arm(box);
    return ripe;
  }

  /// The timer is readable while the first datagram is ripe.
  static void arm(const inbox& box) {
    itimerspec at{};
    if (!box.waiting.empty()) {
      const std::uint64_t us = std::max<std::uint64_t>(box.waiting.begin()->first, 1);
      at.it_value = {.tv_sec = static_cast<time_t>(us / 1'000'000),
                     .tv_nsec = static_cast<long>(us % 1'000'000 * 1000)};
    }
    timerfd_settime(box.timer, TFD_TIMER_ABSTIME, &at, nullptr);
  }

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  link_conditions to_server_;
  link_conditions to_clients_;
  std::map<std::uint16_t, inbox> inboxes_;
  std::uint64_t delivered_ = 0;
};

class link_end final : public packet_source {
 public:
  link_end(std::shared_ptr<lossy_link> link, std::uint16_t port)
      : link_(std::move(link)), port_(port) {
    std::lock_guard lock(link_->mutex_);
    lossy_link::inbox& box = link_->inboxes_[port];
    MILLRACE_CHECK(box.timer < 0, "one end a port");
    box.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    timer_ = box.timer;
  }
  ~link_end() override {
    // A server that ends like a killed process gives nothing back.
    for (const std::uint64_t buffer : held_)
      delete reinterpret_cast<lossy_link::arrival*>(buffer);
    std::lock_guard lock(link_->mutex_);
    link_->inboxes_.erase(port_);
    close(timer_);
  }

  std::uint32_t receive(std::span<received_packet> out) override {
    std::uint32_t count = 0;
    while (count < out.size() && held_.size() < buffers) {
      auto one = std::make_unique<lossy_link::arrival>();
      if (!link_->receive(port_, *one)) break;
      received_packet& packet = out[count++];
      packet = {};
      packet.bytes = one->bytes;
      packet.from.port = one->from;
      packet.buffer = reinterpret_cast<std::uint64_t>(one.release());
      packet.buffer_bytes = static_cast<std::uint32_t>(packet.bytes.size());
      held_.insert(packet.buffer);
    }
    return count;
  }
  void release(std::uint64_t buffer) override {
    delete reinterpret_cast<lossy_link::arrival*>(buffer);
    held_.erase(buffer);
  }
  std::uint32_t send(std::span<const outgoing_packet> packets) override {
    std::uint32_t sent = 0;
    for (const outgoing_packet& one : packets) {
      if (!link_->send(port_, one.to.port, one.bytes)) break;
      ++sent;
    }
    return sent;
  }
  int poll_fd() const override { return timer_; }
  std::uint32_t datagram_bytes_max() const override { return limits::datagram_bytes_max; }
  source_counters counters() const override {
    return {.buffers = buffers, .buffers_free = buffers - held_.size()};
  }
  std::string describe() const override { return "memory link end " + std::to_string(port_); }

 private:
  static constexpr std::uint64_t buffers = 2048;
  std::shared_ptr<lossy_link> link_;
  std::uint16_t port_;
  int timer_ = -1;
  std::set<std::uint64_t> held_;
};

inline std::unique_ptr<packet_source> lossy_link::end(std::uint16_t port) {
  return std::make_unique<link_end>(shared_from_this(), port);
}

}  // namespace millrace::testing_parts
