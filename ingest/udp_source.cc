#include "ingest/udp_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/limits.h"
#include "ingest/udp_control.h"
#include "ingest/udp_sender.h"
#include "ingest/udp_socket.h"

namespace millrace {
namespace {

/// What a GRO buffer, or a datagram, may need.
constexpr std::uint32_t message_bytes_max = 65'536;
/// Of one GRO buffer: the kernel's UDP_MAX_SEGMENTS.
constexpr std::size_t segments_max = 64;

class socket_source final : public udp_source {
 public:
  socket_source(slab_pool slabs, std::vector<local_socket> sockets, descriptor poller,
                const udp_source_options& options)
      : slabs_(std::move(slabs)),
        sockets_(std::move(sockets)),
        poller_(std::move(poller)),
        sender_(options.use_segment) {
    pending_.reserve(udp_open_slabs * segments_max);
    open_.fill({});
  }

  std::uint32_t receive(std::span<received_packet> out) override {
    std::uint32_t count = take_pending(out);
    for (std::size_t tries = 0; tries < sockets_.size() && count < out.size(); ++tries) {
      next_socket_ = next_socket_ + 1 < sockets_.size() ? next_socket_ + 1 : 0;
      receive_from(static_cast<std::uint16_t>(next_socket_));
      count += take_pending(out.subspan(count));
    }
    return count;
  }

  void release(std::uint64_t buffer) override {
    slabs_.release(reinterpret_cast<slab*>(static_cast<std::uintptr_t>(buffer)));
  }

  std::uint32_t send(std::span<const outgoing_packet> packets) override {
    return sender_.send(packets, sockets_, own_);
  }

  int poll_fd() const override { return poller_.get() >= 0 ? poller_.get() : sockets_[0].fd.get(); }
  std::uint32_t datagram_bytes_max() const override { return limits::datagram_bytes_max; }
  source_counters counters() const override {
    return {.dropped = dropped_,
            .stalled = stalled_,
            .buffers = slabs_.count(),
            .buffers_free = slabs_.free_count()};
  }
  std::string describe() const override {
    std::string text = "udp";
    for (const local_socket& one : sockets_)
      text += " " + to_string(one.local);
    return text;
  }
  endpoint local(std::uint16_t listener) const override { return sockets_[listener].local; }
  std::uint32_t granted_buffer_bytes() const override {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    const int done = getsockopt(sockets_[0].fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, &size);
    // The kernel doubles what was asked for, to cover its own bookkeeping.
    return done == 0 ? static_cast<std::uint32_t>(bytes) / 2 : 0;
  }

 private:
  /// A slab being filled; it holds one reference of its own until it is full.
  struct open_slab {
    slab* buffer = nullptr;
    std::uint32_t used = 0;
  };

  std::uint32_t take_pending(std::span<received_packet> out);
  std::uint32_t prepare_slabs();
  void receive_from(std::uint16_t listener);
  void take_message(const mmsghdr& message, open_slab& into, const sockaddr_storage& from,
                    std::uint16_t listener);

  slab_pool slabs_;
  std::vector<local_socket> sockets_;
  own_addresses own_;
  descriptor poller_;  ///< an epoll over the sockets, when there are several
  std::array<open_slab, udp_open_slabs> open_;
  std::vector<received_packet> pending_;  ///< received, not yet handed out
  std::size_t pending_first_ = 0;
  std::size_t next_socket_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t stalled_ = 0;
  udp_sender sender_;
};

std::uint32_t socket_source::take_pending(std::span<received_packet> out) {
  const std::size_t count = std::min(out.size(), pending_.size() - pending_first_);
  std::copy_n(pending_.begin() + static_cast<std::ptrdiff_t>(pending_first_), count, out.begin());
  pending_first_ += count;
  if (pending_first_ == pending_.size()) {
    pending_.clear();
    pending_first_ = 0;
  }
  return static_cast<std::uint32_t>(count);
}

/// Makes room for one more message in as many open slabs as can have it; returns how many.
std::uint32_t socket_source::prepare_slabs() {
  for (std::uint32_t i = 0; i < open_.size(); ++i) {
    open_slab& one = open_[i];
    // Nobody else looks at it any more: its beginning can be used again, still in the cache.
    if (one.buffer && one.buffer->references == 1) one.used = 0;
    if (one.buffer && one.used + message_bytes_max > udp_slab_bytes) {
      slabs_.release(one.buffer);
      one.buffer = nullptr;
    }
    if (!one.buffer) one = {.buffer = slabs_.acquire(), .used = 0};
    if (!one.buffer) {
      // Those behind may be open: bring one forward, so that the open ones come first.
      const auto other = std::find_if(open_.begin() + i + 1, open_.end(), [](const open_slab& o) {
        return o.buffer && o.used + message_bytes_max <= udp_slab_bytes;
      });
      if (other == open_.end()) return i;
      std::swap(one, *other);
    }
  }
  return udp_open_slabs;
}

void socket_source::receive_from(std::uint16_t listener) {
  const std::uint32_t room = prepare_slabs();
  if (room == 0) {
    ++stalled_;
    return;
  }
  std::array<mmsghdr, udp_open_slabs> messages;
  std::array<iovec, udp_open_slabs> parts;
  std::array<sockaddr_storage, udp_open_slabs> from;
  std::array<udp_control, udp_open_slabs> controls;
  for (std::uint32_t i = 0; i < room; ++i) {
    parts[i] = {.iov_base = open_[i].buffer->data + open_[i].used, .iov_len = message_bytes_max};
    messages[i] = {};
    messages[i].msg_hdr.msg_name = &from[i];
    messages[i].msg_hdr.msg_namelen = sizeof from[i];
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = &controls[i];
    messages[i].msg_hdr.msg_controllen = sizeof controls[i];
  }
  const int got = ::recvmmsg(sockets_[listener].fd.get(), messages.data(), room, 0, nullptr);
  for (int i = 0; i < got; ++i) {
    const auto at = static_cast<std::size_t>(i);
    take_message(messages[at], open_[at], from[at], listener);
  }
}

void socket_source::take_message(const mmsghdr& message, open_slab& into,
                                 const sockaddr_storage& from, std::uint16_t listener) {
  const std::uint32_t bytes = message.msg_len;
  std::uint32_t segment = bytes;
  std::uint8_t local = 0;
  msghdr head = message.msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      segment = static_cast<std::uint32_t>(load<int>(CMSG_DATA(c)));
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      const auto now = load<std::uint32_t>(CMSG_DATA(c));
      dropped_ += now - sockets_[listener].dropped;  // wraps with the kernel's count
      sockets_[listener].dropped = now;
    } else if (const std::uint8_t known = own_.learn(*c); known != 0) {
      local = known;
    }
  }
  if (bytes == 0 || segment == 0 || (head.msg_flags & MSG_TRUNC) != 0) return;
  endpoint who = from_sockaddr(from);
  who.local = local;
  std::byte* base = into.buffer->data + into.used;
  for (std::uint32_t at = 0; at < bytes; at += segment) {
    const std::uint32_t size = std::min(segment, bytes - at);
    ++into.buffer->references;
    pending_.push_back(
        {.bytes = mutable_byte_view(base + at, size),
         .from = who,
         .buffer = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(into.buffer)),
         .buffer_bytes = size,
         .listener = listener});
  }
  into.used += static_cast<std::uint32_t>(align_up(bytes, 64));
}

}  // namespace

result<std::unique_ptr<udp_source>> udp_source::create(arena& from,
                                                       const udp_source_options& options) {
  if (options.listen.empty() || options.slabs <= udp_open_slabs) {
    return error(error_code::invalid_argument,
                 "a UDP source needs an address and more than " + std::to_string(udp_open_slabs) +
                     " buffers, not " + std::to_string(options.slabs));
  }
  std::vector<local_socket> sockets;
  for (const udp_address& address : options.listen) {
    MILLRACE_ASSIGN(local_socket one, open_udp_socket(address, options));
    sockets.push_back(std::move(one));
  }
  descriptor poller;
  if (sockets.size() > 1) {
    poller = descriptor(::epoll_create1(EPOLL_CLOEXEC));
    if (poller.get() < 0) return error::from_errno(errno, "epoll for UDP sockets");
    for (const local_socket& one : sockets) {
      epoll_event event{.events = EPOLLIN, .data = {}};
      if (::epoll_ctl(poller.get(), EPOLL_CTL_ADD, one.fd.get(), &event) != 0) {
        return error::from_errno(errno, "epoll for UDP sockets");
      }
    }
  }
  MILLRACE_ASSIGN(slab_pool slabs,
                  slab_pool::create(from, udp_slab_bytes, options.slabs, "UDP receive buffers"));
  return std::unique_ptr<udp_source>(std::make_unique<socket_source>(
      std::move(slabs), std::move(sockets), std::move(poller), options));
}

}  // namespace millrace
