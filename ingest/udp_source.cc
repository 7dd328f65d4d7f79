#include "ingest/udp_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/limits.h"
#include "ingest/udp_socket.h"

namespace millrace {
namespace {

/// What a GRO buffer, or a datagram, may need.
constexpr std::uint32_t message_bytes_max = 65'536;
constexpr std::size_t segments_max =
    64;  ///< of one UDP_SEGMENT send: the kernel's UDP_MAX_SEGMENTS
constexpr std::size_t segment_run_bytes_max = 65'000;

/// One of this host's addresses. A socket bound to all of them learns which a client wrote to, and
/// answers from that one: the client listens to no other.
struct own_address {
  std::uint8_t family = 0;
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const own_address&, const own_address&) = default;
};
/// endpoint::local names them by one more than their index; 0 leaves the choice to the kernel.
constexpr std::size_t own_addresses_max = 255;

/// Appends one control message to those that `message` has in `space`.
template <class Value>
void add_control(msghdr& message, std::span<std::byte> space, int level, int type,
                 const Value& value) {
  const cmsghdr head{.cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = level, .cmsg_type = type};
  std::byte* const at = space.data() + message.msg_controllen;
  store(at, head);
  store(at + CMSG_LEN(0), value);
  message.msg_control = space.data();
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

class socket_source final : public udp_source {
 public:
  socket_source(slab_pool slabs, std::vector<local_socket> sockets, descriptor poller,
                const udp_source_options& options)
      : slabs_(std::move(slabs)),
        sockets_(std::move(sockets)),
        poller_(std::move(poller)),
        use_segment_(options.use_segment) {
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

  std::uint32_t send(std::span<const outgoing_packet> packets) override;

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
  struct control {
    alignas(cmsghdr) std::byte bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint32_t)) +
                                     CMSG_SPACE(sizeof(in6_pktinfo))];
  };

  struct send_burst;
  std::uint8_t local_of(const own_address& address);
  void add_source(const endpoint& to, msghdr& message, control& into) const;
  std::size_t add_message(std::span<const outgoing_packet> packets, std::size_t next,
                          send_burst& burst) const;
  std::uint32_t take_pending(std::span<received_packet> out);
  std::uint32_t prepare_slabs();
  void receive_from(std::uint16_t listener);
  void take_message(const mmsghdr& message, open_slab& into, const sockaddr_storage& from,
                    std::uint16_t listener);

  slab_pool slabs_;
  std::vector<local_socket> sockets_;
  std::vector<own_address> own_;  ///< learnt; see own_address
  descriptor poller_;             ///< an epoll over the sockets, when there are several
  std::array<open_slab, udp_open_slabs> open_;
  std::vector<received_packet> pending_;  ///< received, not yet handed out
  std::size_t pending_first_ = 0;
  std::size_t next_socket_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t stalled_ = 0;
  bool use_segment_;
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
  std::array<control, udp_open_slabs> controls;
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

std::uint8_t socket_source::local_of(const own_address& address) {
  const auto found = std::ranges::find(own_, address);
  const auto at = static_cast<std::size_t>(found - own_.begin());
  if (found == own_.end()) {
    if (at == own_addresses_max) return 0;
    own_.push_back(address);
  }
  return static_cast<std::uint8_t>(at + 1);
}

void socket_source::take_message(const mmsghdr& message, open_slab& into,
                                 const sockaddr_storage& from, std::uint16_t listener) {
  const std::uint32_t bytes = message.msg_len;
  std::uint32_t segment = bytes;
  own_address own;
  msghdr head = message.msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      segment = static_cast<std::uint32_t>(load<int>(CMSG_DATA(c)));
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      const auto now = load<std::uint32_t>(CMSG_DATA(c));
      dropped_ += now - sockets_[listener].dropped;  // wraps with the kernel's count
      sockets_[listener].dropped = now;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      const auto info = load<in_pktinfo>(CMSG_DATA(c));
      own.family = 4;
      std::memcpy(own.bytes.data(), &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      const auto info = load<in6_pktinfo>(CMSG_DATA(c));
      // A link-local address says nothing without its interface, a group's is nobody's.
      const bool is_usable =
          !IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) && !IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
      own.family = is_usable ? 6 : 0;
      std::memcpy(own.bytes.data(), &info.ipi6_addr, sizeof info.ipi6_addr);
    }
  }
  if (bytes == 0 || segment == 0 || (head.msg_flags & MSG_TRUNC) != 0) return;
  endpoint who = from_sockaddr(from);
  if (own.family != 0) who.local = local_of(own);
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

/// Messages of one sendmmsg, all by one socket.
struct socket_source::send_burst {
  std::array<mmsghdr, limits::burst_packets_max> messages;
  std::array<std::uint32_t, limits::burst_packets_max>
      first;  ///< packet that a message starts with
  std::array<std::uint32_t, limits::burst_packets_max> count;  ///< packets in it
  std::array<iovec, limits::burst_packets_max> parts;
  std::array<sockaddr_storage, limits::burst_packets_max> to;
  std::array<control, limits::burst_packets_max> controls;
  std::size_t message_count = 0;
  std::size_t part_count = 0;
};

/// Adds one message from packets[next] on: a run of equal datagrams to one client, of which the
/// last may be shorter. Returns the packet after it.
std::size_t socket_source::add_message(std::span<const outgoing_packet> packets, std::size_t next,
                                       send_burst& burst) const {
  const outgoing_packet& head = packets[next];
  const std::size_t at = burst.message_count++;
  burst.first[at] = static_cast<std::uint32_t>(next);
  burst.count[at] = 0;
  msghdr& message = (burst.messages[at] = {}).msg_hdr;
  message.msg_iov = &burst.parts[burst.part_count];
  std::size_t bytes = 0;
  bool is_last = false;
  while (next < packets.size() && burst.part_count < burst.parts.size() && !is_last) {
    const outgoing_packet& packet = packets[next];
    const bool joins =
        burst.count[at] == 0 ||
        (use_segment_ && packet.to == head.to && packet.listener == head.listener &&
         packet.bytes.size() <= head.bytes.size() && burst.count[at] < segments_max &&
         bytes + packet.bytes.size() <= segment_run_bytes_max);
    if (!joins) break;
    is_last = packet.bytes.size() < head.bytes.size();
    burst.parts[burst.part_count++] = {.iov_base = const_cast<std::byte*>(packet.bytes.data()),
                                       .iov_len = packet.bytes.size()};
    bytes += packet.bytes.size();
    ++burst.count[at];
    ++next;
  }
  message.msg_iovlen = burst.count[at];
  message.msg_namelen = to_sockaddr(head.to, burst.to[at]);
  message.msg_name = &burst.to[at];
  control& extra = burst.controls[at];
  if (burst.count[at] > 1) {
    add_control(message, extra.bytes, SOL_UDP, UDP_SEGMENT,
                static_cast<std::uint16_t>(head.bytes.size()));
  }
  if (head.to.local != 0 && head.to.local <= own_.size()) add_source(head.to, message, extra);
  return next;
}

/// Has the message leave from the address that the client wrote to.
void socket_source::add_source(const endpoint& to, msghdr& message, control& into) const {
  const own_address& own = own_[to.local - 1u];
  if (own.family != to.family) return;
  if (own.family == 4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, own.bytes.data(), sizeof info.ipi_spec_dst);
    add_control(message, into.bytes, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, own.bytes.data(), sizeof info.ipi6_addr);
    add_control(message, into.bytes, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

std::uint32_t socket_source::send(std::span<const outgoing_packet> packets) {
  std::uint32_t sent = 0;
  std::size_t next = 0;
  while (next < packets.size()) {
    send_burst burst;
    const std::uint16_t listener = packets[next].listener;
    while (next < packets.size() && burst.part_count < burst.parts.size() &&
           packets[next].listener == listener) {
      next = add_message(packets, next, burst);
    }
    std::size_t gone = 0;
    while (gone < burst.message_count) {
      const int done = ::sendmmsg(sockets_[listener].fd.get(), &burst.messages[gone],
                                  static_cast<unsigned>(burst.message_count - gone), 0);
      if (done > 0) {
        for (int i = 0; i < done; ++i)
          sent += burst.count[gone++];
      } else if (errno == EINTR) {
        continue;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
        return sent;
      } else if (burst.count[gone] > 1) {
        // This path cannot segment (EIO, EINVAL): never try again, and send these one by one.
        use_segment_ = false;
        next = burst.first[gone];
        break;
      } else {
        ++gone;  // too large for the path, or unreachable: this one is lost
      }
    }
  }
  return sent;
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
