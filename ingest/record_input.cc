#include "ingest/record_input.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace millrace {
namespace {

constexpr std::size_t read_bytes = 512 * 1024;
constexpr int stop_period_ms = 100;

}  // namespace

result<std::unique_ptr<record_input>> record_input::open(const std::string& path,
                                                         const std::atomic<bool>* stop) {
  std::unique_ptr<record_input> made(new record_input);
  made->name_ = path == "-" ? "standard input" : "'" + path + "'";
  made->stop_ = stop;
  made->owns_fd_ = path != "-";
  made->fd_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (made->fd_ < 0) {
    const auto code = errno == ENOENT ? error_code::not_found : error_code::io;
    return error(code, made->name_ + ": " + std::strerror(errno));
  }
  struct stat about {};
  if (fstat(made->fd_, &about) != 0) return error::from_errno(errno, made->name_);
  if (S_ISDIR(about.st_mode)) {
    return error(error_code::invalid_argument, made->name_ + " is a directory");
  }
  made->is_regular_ = S_ISREG(about.st_mode);
  if (made->is_regular_) made->total_ = static_cast<std::uint64_t>(about.st_size);
  made->capacity_ = 2 * read_bytes;
  made->buffer_.reset(new char[made->capacity_ + padding_bytes]());
  return made;
}

record_input::~record_input() {
  if (owns_fd_ && fd_ >= 0) close(fd_);
}

void record_input::make_room() {
  if (from_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + from_, to_ - from_);
    to_ -= from_;
    from_ = 0;
  }
  if (capacity_ - to_ >= read_bytes) return;
  const std::size_t bigger = std::min(capacity_ * 2, window_bytes_max);
  if (bigger == capacity_) return;
  std::unique_ptr<char[]> moved(new char[bigger + padding_bytes]());
  std::memcpy(moved.get(), buffer_.get(), to_);
  buffer_ = std::move(moved);
  capacity_ = bigger;
}

result<bool> record_input::more() {
  if (capacity_ - to_ < read_bytes) make_room();
  const std::size_t room = std::min(capacity_ - to_, read_bytes);
  if (room == 0) return false;
  for (;;) {
    // A pipe may stay silent for long; a signal must still be able to end the wait.
    while (!is_regular_ && stop_ != nullptr) {
      if (stop_->load()) return false;
      pollfd on{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&on, 1, stop_period_ms) > 0) break;
    }
    const ssize_t got = read(fd_, buffer_.get() + to_, room);
    if (got > 0) {
      to_ += static_cast<std::size_t>(got);
      return true;
    }
    if (got == 0) return false;
    if (errno != EINTR) return error::from_errno(errno, "reading " + name_);
  }
}

void record_input::consume(std::size_t bytes) {
  from_ += bytes;
  consumed_ += bytes;
  if (from_ == to_) from_ = to_ = 0;
}

status record_input::rewind() {
  if (!is_regular_) {
    return error(error_code::unsupported, name_ + " cannot be read a second time");
  }
  if (lseek(fd_, 0, SEEK_SET) < 0) return error::from_errno(errno, "rewinding " + name_);
  from_ = to_ = 0;
  consumed_ = 0;
  return {};
}

}  // namespace millrace
