#pragma once
/// One bound UDP socket, as udp_source wants them, and the kernel's form of addresses.
#include <cstdint>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "ingest/packet_source.h"
#include "ingest/udp_source.h"

namespace millrace {

/// Owns a file descriptor.
class descriptor {
 public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Not blocking; sends with DF and without regard to what ICMP said of the path.
struct local_socket {
  descriptor fd;
  endpoint local;
  std::uint32_t dropped = 0;  ///< the kernel's own count, which wraps
};

/// Binds; what an old kernel lacks of the options that only make it faster is left out.
result<local_socket> open_udp_socket(const udp_address& address, const udp_source_options& options);

/// Returns the bytes of `to` that count.
socklen_t to_sockaddr(const endpoint& from, sockaddr_storage& to);
endpoint from_sockaddr(const sockaddr_storage& from);

}  // namespace millrace
