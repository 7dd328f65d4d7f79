#include "app/ack_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shards/sequence_number.h"

namespace millrace {
namespace {

constexpr std::size_t flush_bytes = 64 * 1024;
/// Longer than any line.
constexpr std::size_t tail_bytes = 4096;

}  // namespace

result<std::unique_ptr<ack_file>> ack_file::open(const std::string& path, bool goes_on) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (goes_on ? 0 : O_TRUNC), 0644);
  if (fd < 0) return error::from_errno(errno, "acks file '" + path + "'");
  std::unique_ptr<ack_file> made(new ack_file(path, fd));
  if (goes_on) MILLRACE_TRY(made->read_end());
  made->waiting_.reserve(flush_bytes + tail_bytes);
  return made;
}

ack_file::~ack_file() {
  flush();
  close(fd_);
}

/// Finds the last whole line, cuts what is behind it, and goes on there.
status ack_file::read_end() {
  struct stat about {};
  if (fstat(fd_, &about) != 0) return error::from_errno(errno, "acks file '" + path_ + "'");
  const auto size = static_cast<std::uint64_t>(about.st_size);
  std::string tail(std::min<std::uint64_t>(size, tail_bytes), '\0');
  const std::uint64_t from = size - tail.size();
  if (pread(fd_, tail.data(), tail.size(), static_cast<off_t>(from)) !=
      static_cast<ssize_t>(tail.size())) {
    return error::from_errno(errno, "reading acks file '" + path_ + "'");
  }
  const std::size_t end = tail.rfind('\n');
  const std::uint64_t keep = end == tail.npos ? from : from + end + 1;
  if (keep < size && ftruncate(fd_, static_cast<off_t>(keep)) != 0) {
    return error::from_errno(errno, "acks file '" + path_ + "'");
  }
  if (lseek(fd_, static_cast<off_t>(keep), SEEK_SET) < 0) {
    return error::from_errno(errno, "acks file '" + path_ + "'");
  }
  if (end == tail.npos) {
    if (from == 0) return {};
  } else {
    const std::size_t before = end == 0 ? tail.npos : tail.rfind('\n', end - 1);
    const char* line = tail.data() + (before == tail.npos ? 0 : before + 1);
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(line, tail.data() + end, number);
    if (parsed.ec == std::errc() && *parsed.ptr == ' ') {
      next_number_ = number + 1;
      return {};
    }
  }
  return error(error_code::invalid_argument,
               "acks file '" + path_ + "' does not end with a line of acks: not going on with it");
}

void ack_file::add(const record_outcome& what) {
  std::lock_guard lock(mutex_);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, what.number.value).ptr;
  waiting_.append(digits, end);
  if (what.has_place) {
    char shard[40];
    const int length = std::snprintf(shard, sizeof shard, " shardId-%012u ", what.shard.value);
    waiting_.append(shard, static_cast<std::size_t>(length));
    waiting_ += sequence_number{.shard_created_s = what.shard_created_s,
                                .index = what.index,
                                .arrival_s = what.arrival_s,
                                .shard = what.shard}
                    .to_string();
    waiting_ += '\n';
  } else {
    waiting_ += " - -\n";
  }
  ++lines_;
  if (waiting_.size() >= flush_bytes) write_out();
}

void ack_file::flush() {
  std::lock_guard lock(mutex_);
  write_out();
}

result<std::uint64_t> ack_file::lines() const {
  std::lock_guard lock(mutex_);
  if (!failure_.ok()) return failure_.failure();
  return lines_;
}

void ack_file::write_out() {
  std::size_t done = 0;
  while (done < waiting_.size() && failure_.ok()) {
    const ssize_t wrote = write(fd_, waiting_.data() + done, waiting_.size() - done);
    if (wrote >= 0) {
      done += static_cast<std::size_t>(wrote);
    } else if (errno != EINTR) {
      failure_ = error::from_errno(errno, "writing acks file '" + path_ + "'");
    }
  }
  waiting_.clear();
}

}  // namespace millrace
