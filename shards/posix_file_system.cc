#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <mutex>

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/limits.h"
#include "shards/file.h"
#include "shards/io_uring_write_queue.h"
#include "shards/posix_file.h"
#include "shards/thread_write_queue.h"

namespace millrace {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class posix_file_system : public file_system {
 public:
  explicit posix_file_system(flush_engine engine) : engine_(engine) {}

  result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) override {
    MILLRACE_ASSIGN(auto opened, posix_file::open(path, mode));
    return std::unique_ptr<file>(std::move(opened));
  }

  result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* const open_directory = ::opendir(directory.c_str());
    if (open_directory == nullptr) {
      if (errno == ENOENT) return error(error_code::not_found, directory + ": no such directory");
      return error::from_errno(errno, directory + ": opendir");
    }
    std::vector<std::string> names;
    while (const dirent* const entry = ::readdir(open_directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(open_directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  status create_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return error::from_errno(errno, path + ": mkdir");
    }
    return sync_directory(parent_of(path));
  }

  status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) {
      if (errno == ENOENT) return error(error_code::not_found, path + ": no such file");
      return error::from_errno(errno, path + ": unlink");
    }
    return sync_directory(parent_of(path));
  }

  status remove_directory(const std::string& path) override {
    std::error_code failure;
    std::filesystem::remove_all(path, failure);
    if (failure) return error::from_errno(failure.value(), path + ": remove");
    return sync_directory(parent_of(path));
  }

  result<std::uint64_t> free_bytes(const std::string& directory) override {
    struct statvfs facts {};
    if (::statvfs(directory.c_str(), &facts) != 0) {
      return error::from_errno(errno, directory + ": statvfs");
    }
    return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
  }

  std::unique_ptr<write_queue> make_write_queue(std::uint32_t in_flight_max) override {
    if (engine_ != flush_engine::threads) {
      auto queue = make_io_uring_write_queue(in_flight_max);
      if (queue.ok()) return *std::move(queue);
    }
    std::lock_guard lock(mutex_);
    if (threads_ == nullptr) threads_ = make_write_threads(limits::flushes_in_flight_max);
    return make_thread_write_queue(threads_, in_flight_max);
  }

 private:
  const flush_engine engine_;
  std::mutex mutex_;
  std::shared_ptr<write_threads> threads_;  ///< started when the first queue needs them
};

}  // namespace

std::unique_ptr<file_system> make_posix_file_system(flush_engine engine) {
  return std::make_unique<posix_file_system>(engine);
}

}  // namespace millrace
