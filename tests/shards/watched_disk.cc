#include "tests/shards/watched_disk.h"

#include <array>
#include <cerrno>
#include <mutex>
#include <utility>

#include <dlfcn.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace millrace::watched_disk {
namespace {

struct watch {
  std::mutex mutex;
  std::vector<call> calls;
  std::string failing;
};

watch& the_watch() {
  static watch one;
  return one;
}

/// False when the call is to fail.
bool note(int fd, call::kind what) {
  std::array<char, 4096> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t bytes = ::readlink(link.c_str(), name.data(), name.size());
  std::string path(name.data(), bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
  watch& all = the_watch();
  std::lock_guard lock(all.mutex);
  const bool fails = what == call::kind::sync && !path.empty() && path == all.failing;
  all.calls.push_back({what, std::move(path)});
  return !fails;
}

call::kind kind_of_write(int flags) {
  return (flags & RWF_DSYNC) != 0 ? call::kind::durable_write : call::kind::write;
}

int sync(int fd, long number) {
  if (note(fd, call::kind::sync)) return static_cast<int>(::syscall(number, fd));
  errno = EIO;
  return -1;
}

}  // namespace

std::vector<call> take() {
  std::lock_guard lock(the_watch().mutex);
  return std::exchange(the_watch().calls, {});
}

void fail_syncs_of(const std::string& path) {
  std::lock_guard lock(the_watch().mutex);
  the_watch().failing = path;
}

}  // namespace millrace::watched_disk

using namespace millrace::watched_disk;

extern "C" {

int fsync(int fd) {
  return sync(fd, SYS_fsync);
}

int fdatasync(int fd) {
  return sync(fd, SYS_fdatasync);
}

ssize_t pwritev2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  note(fd, kind_of_write(flags));
  return ::syscall(SYS_pwritev2, fd, pieces, count, offset, 0, flags);
}

int io_uring_submit(io_uring* ring) {
  for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; ++at) {
    const io_uring_sqe& entry = ring->sq.sqes[at & ring->sq.ring_mask];
    if (entry.opcode == IORING_OP_WRITE) note(entry.fd, kind_of_write(entry.rw_flags));
  }
  static const auto submit =
      reinterpret_cast<int (*)(io_uring*)>(::dlsym(RTLD_NEXT, "io_uring_submit"));
  return submit(ring);
}

}  // extern "C"
