#include "shards/posix_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shards/aligned_buffer.h"

namespace millrace {
namespace {

error failed(const std::string& path, const char* what, int errno_value) {
  return error::from_errno(errno_value, path + ": " + what);
}

bool is_aligned(const void* address, std::uint64_t offset, std::uint64_t bytes, std::uint32_t to) {
  return ((reinterpret_cast<std::uintptr_t>(address) | offset | bytes) & (to - 1)) == 0;
}

int open_flags(open_mode mode) {
  switch (mode) {
    case open_mode::read:
      return O_RDONLY | O_CLOEXEC;
    case open_mode::create:
      return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    case open_mode::update:
      break;
  }
  return O_RDWR | O_CLOEXEC;
}

}  // namespace

status sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed(directory, "open", errno);
  const int outcome = ::fsync(fd);
  const int why = errno;
  ::close(fd);
  if (outcome != 0) return failed(directory, "fsync", why);
  return {};
}

result<std::unique_ptr<posix_file>> posix_file::open(const std::string& path, open_mode mode) {
  const int flags = open_flags(mode);
  bool direct = true;
  int fd = ::open(path.c_str(), flags | O_DIRECT, 0644);
  if (fd < 0 && errno == EINVAL) {
    direct = false;  // a file system without O_DIRECT; some have created the file by now
    const int again = mode == open_mode::create ? flags & ~O_EXCL : flags;
    fd = ::open(path.c_str(), again, 0644);
  }
  if (fd < 0) {
    const int why = errno;
    if (why == ENOENT) return error(error_code::not_found, path + ": no such file");
    if (why == EEXIST) return error(error_code::already_exists, path + ": file exists");
    return failed(path, "open", why);
  }
  std::unique_ptr<posix_file> opened(new posix_file(path, fd));
  opened->learn_alignment(direct);
  if (mode == open_mode::create) {
    const std::size_t slash = path.find_last_of('/');
    MILLRACE_TRY(sync_directory(slash == std::string::npos ? "." : path.substr(0, slash)));
  }
  return opened;
}

posix_file::~posix_file() {
  ::close(fd_);
}

/// The smallest read that the disk takes. An empty file takes any, so its disk's own word, where
/// the kernel gives it, goes first.
void posix_file::learn_alignment(bool direct) {
  if (!direct) return;
  alignment_ = disk_block_bytes;
#ifdef STATX_DIOALIGN
  struct statx facts {};
  if (::statx(fd_, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0 &&
      (facts.stx_mask & STATX_DIOALIGN) != 0) {
    if (facts.stx_dio_offset_align == 0) {
      alignment_ = 1;  // accepted and ignored
    } else if (facts.stx_dio_offset_align <= disk_block_bytes) {
      alignment_ = facts.stx_dio_offset_align < 512 ? 512 : facts.stx_dio_offset_align;
    }
    return;
  }
#endif
  const aligned_memory probe = allocate_aligned(disk_block_bytes);
  if (::pread(fd_, probe.get(), 512, 512) >= 0) alignment_ = 512;
}

result<std::uint64_t> posix_file::size() const {
  struct stat facts {};
  if (::fstat(fd_, &facts) != 0) return failed(path_, "fstat", errno);
  return static_cast<std::uint64_t>(facts.st_size);
}

status posix_file::read_exactly(std::uint64_t offset, mutable_byte_view into) const {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got =
        ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    const std::string what =
        "read of " + std::to_string(into.size()) + " bytes at " + std::to_string(offset);
    if (got < 0) return failed(path_, what.c_str(), errno);
    if (got == 0) return error(error_code::corrupt, path_ + ": " + what + ": the file ends before");
    done += static_cast<std::size_t>(got);
  }
  return {};
}

status posix_file::read_at(std::uint64_t offset, mutable_byte_view into) const {
  if (into.empty()) return {};
  if (alignment_ == 1 || is_aligned(into.data(), offset, into.size(), alignment_)) {
    return read_exactly(offset, into);
  }
  MILLRACE_ASSIGN(const std::uint64_t file_bytes, size());
  const std::uint64_t from = offset & ~std::uint64_t{alignment_ - 1};
  const std::uint64_t to = align_up(offset + into.size(), alignment_);
  if (offset + into.size() > file_bytes) {
    return error(error_code::corrupt, path_ + ": read of " + std::to_string(into.size()) +
                                          " bytes at " + std::to_string(offset) +
                                          ": the file ends before");
  }
  const aligned_memory bounce = allocate_aligned(to - from);
  // The last sector may be past the end of the file: ask for no more than there is.
  std::uint64_t done = 0;
  while (from + done < offset + into.size()) {
    const ssize_t got =
        ::pread(fd_, bounce.get() + done, to - from - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failed(path_, "read", got < 0 ? errno : EIO);
    done += static_cast<std::uint64_t>(got);
  }
  std::memcpy(into.data(), bounce.get() + (offset - from), into.size());
  return {};
}

std::uint64_t posix_file::next_data(std::uint64_t offset) const {
  const off_t found = ::lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  if (found >= 0) return static_cast<std::uint64_t>(found);
  if (errno != ENXIO) return offset;  // not supported: anything may be there
  const auto bytes = size();
  return bytes.ok() && *bytes > offset ? *bytes : offset;
}

status posix_file::allocate(std::uint64_t bytes) {
  int outcome;
  do {
    outcome = ::fallocate(fd_, 0, 0, static_cast<off_t>(bytes));
  } while (outcome != 0 && errno == EINTR);
  if (outcome == 0) return {};
  if (errno == EOPNOTSUPP) return truncate(bytes);  // no reservation there; writes may find no room
  const std::string what = "allocation of " + std::to_string(bytes) + " bytes";
  return failed(path_, what.c_str(), errno);
}

status posix_file::truncate(std::uint64_t bytes) {
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return failed(path_, "truncate", errno);
  return {};
}

status posix_file::write_durable(std::uint64_t offset, byte_view from) {
  if (alignment_ != 1 && !is_aligned(from.data(), offset, from.size(), disk_block_bytes)) {
    MILLRACE_CHECK(((offset | from.size()) & (disk_block_bytes - 1)) == 0, "unaligned write");
    const aligned_memory copy = allocate_aligned(from.size());
    std::memcpy(copy.get(), from.data(), from.size());
    MILLRACE_TRY(write_fully(*this, offset, {copy.get(), from.size()}, durability::written));
  } else {
    MILLRACE_TRY(write_fully(*this, offset, from, durability::written));
  }
  return sync();
}

status posix_file::sync() {
  if (::fdatasync(fd_) != 0) return failed(path_, "fdatasync", errno);
  return {};
}

status write_fully(const posix_file& to, std::uint64_t offset, byte_view from, durability wanted) {
  const int flags = wanted == durability::durable ? RWF_DSYNC : 0;
  std::size_t done = 0;
  while (done < from.size()) {
    iovec piece{const_cast<std::byte*>(from.data()) + done, from.size() - done};
    const ssize_t put =
        ::pwritev2(to.descriptor(), &piece, 1, static_cast<off_t>(offset + done), flags);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const std::string what =
          "write of " + std::to_string(from.size()) + " bytes at " + std::to_string(offset);
      return failed(to.path(), what.c_str(), put < 0 ? errno : EIO);
    }
    done += static_cast<std::size_t>(put);
  }
  return {};
}

}  // namespace millrace
