#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bounded_queue.h"
#include "base/check.h"
#include "base/limits.h"
#include "ingest/memory_source.h"

namespace millrace {
namespace {

constexpr std::uint32_t buffer_bytes = 64 * 1024;

struct address_less {
  bool operator()(const endpoint& a, const endpoint& b) const {
    return std::tie(a.family, a.address, a.port) < std::tie(b.family, b.address, b.port);
  }
};

struct queued_datagram {
  std::vector<std::byte> bytes;
  endpoint from;
};

/// What arrives at one address. Shared by the senders and the source there.
class inbox {
 public:
  inbox(std::uint32_t capacity, bool has_fd)
      : queue_(capacity), fd_(has_fd ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1) {}
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;
  ~inbox() {
    if (fd_ >= 0) close(fd_);
  }

  bool put(queued_datagram datagram) {
    if (!queue_.push(std::move(datagram))) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    if (fd_ >= 0) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
    }
    return true;
  }
  bool take(queued_datagram& datagram) {
    if (queue_.pop(datagram)) return true;
    // Empty: the descriptor must not stay readable. Look again, or a put in between would be slept
    // over.
    if (fd_ >= 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
    }
    return queue_.pop(datagram);
  }
  bool empty() const { return queue_.empty(); }
  int fd() const { return fd_; }
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  bounded_queue<queued_datagram> queue_;
  std::atomic<std::uint64_t> dropped_{0};
  int fd_;
};

}  // namespace

struct memory_network::state {
  std::mutex mutex;
  std::map<endpoint, std::shared_ptr<inbox>, address_less> inboxes;

  std::shared_ptr<inbox> find(const endpoint& address) {
    std::lock_guard lock(mutex);
    const auto found = inboxes.find(address);
    return found == inboxes.end() ? nullptr : found->second;
  }
  void detach(const endpoint& address) {
    std::lock_guard lock(mutex);
    inboxes.erase(address);
  }

  class port;
};

class memory_network::state::port final : public packet_source {
 public:
  port(std::shared_ptr<state> network, std::shared_ptr<inbox> in, slab_pool slabs,
       const endpoint& address)
      : network_(std::move(network)),
        in_(std::move(in)),
        slabs_(std::move(slabs)),
        address_(address) {}
  ~port() override { network_->detach(address_); }

  std::uint32_t receive(std::span<received_packet> out) override {
    std::uint32_t count = 0;
    queued_datagram datagram;
    while (count < out.size()) {
      slab* buffer = slabs_.acquire();
      if (!buffer) {
        if (!in_->empty()) ++stalled_;
        break;
      }
      if (!in_->take(datagram)) {
        slabs_.release(buffer);
        break;
      }
      std::memcpy(buffer->data, datagram.bytes.data(), datagram.bytes.size());
      out[count++] = {
          .bytes = mutable_byte_view(buffer->data, datagram.bytes.size()),
          .from = datagram.from,
          .buffer = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(buffer)),
          .buffer_bytes = buffer_bytes};
    }
    return count;
  }
  void release(std::uint64_t buffer) override {
    slabs_.release(reinterpret_cast<slab*>(static_cast<std::uintptr_t>(buffer)));
  }
  std::uint32_t send(std::span<const outgoing_packet> packets) override {
    std::uint32_t sent = 0;
    for (const outgoing_packet& packet : packets) {
      if (packet.bytes.size() > limits::datagram_bytes_max) continue;
      const std::shared_ptr<inbox> there = network_->find(packet.to);
      // Like a network: what nobody takes is lost, and the sender does not hear of it.
      ++sent;
      if (there) {
        [[maybe_unused]] const bool taken = there->put(
            {std::vector<std::byte>(packet.bytes.begin(), packet.bytes.end()), address_});
      }
    }
    return sent;
  }
  int poll_fd() const override { return in_->fd(); }
  std::uint32_t datagram_bytes_max() const override { return limits::datagram_bytes_max; }
  source_counters counters() const override {
    return {.dropped = in_->dropped(),
            .stalled = stalled_,
            .buffers = slabs_.count(),
            .buffers_free = slabs_.free_count()};
  }
  std::string describe() const override { return "memory " + to_string(address_); }

 private:
  std::shared_ptr<state> network_;
  std::shared_ptr<inbox> in_;
  slab_pool slabs_;
  endpoint address_;
  std::uint64_t stalled_ = 0;
};

memory_network::memory_network() : state_(std::make_shared<state>()) {}
memory_network::~memory_network() = default;

result<std::unique_ptr<packet_source>> memory_network::attach(arena& from, const endpoint& address,
                                                              const port_options& options) {
  MILLRACE_ASSIGN(slab_pool slabs,
                  slab_pool::create(from, buffer_bytes, options.buffers, "memory port buffers"));
  auto in = std::make_shared<inbox>(options.queued_max, options.has_poll_fd);
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->inboxes.emplace(address, in).second) {
      return error(error_code::already_exists, to_string(address) + " is taken");
    }
  }
  return std::unique_ptr<packet_source>(
      std::make_unique<state::port>(state_, std::move(in), std::move(slabs), address));
}

}  // namespace millrace
