#include "shards/data_lock.h"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace millrace {

result<data_lock> data_lock::acquire(const std::string& directory) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed) return error::from_errno(failed.value(), "data directory '" + directory + "'");
  const std::string path = directory + "/millrace.lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return error::from_errno(errno, path);
  data_lock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return error::from_errno(errno, path + ": flock");
    char holder[32] = {};
    const ssize_t length = pread(descriptor, holder, sizeof holder - 1, 0);
    std::string who(holder, length > 0 ? static_cast<std::size_t>(length) : 0);
    while (!who.empty() && who.back() == '\n')
      who.pop_back();
    return error(error_code::unavailable, "data directory '" + directory +
                                              "' is in use by process " +
                                              (who.empty() ? "(unknown)" : who));
  }
  const std::string self = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0 ||
      pwrite(descriptor, self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    return error::from_errno(errno, path);
  }
  return lock;
}

data_lock::data_lock(data_lock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

data_lock& data_lock::operator=(data_lock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

data_lock::~data_lock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace millrace
