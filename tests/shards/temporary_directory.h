#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/check.h"

namespace millrace {

/// Where there is one, a memory file system: for tests that write so often that they would wait for
/// nothing but the flushes of a disk, which others may be using.
inline std::string memory_directory() {
  const char* const memory = "/dev/shm/";
  return ::access(memory, W_OK) == 0 ? memory : testing::TempDir();
}

/// A directory of its own for a test, removed at the end.
class temporary_directory {
 public:
  temporary_directory() : temporary_directory(testing::TempDir()) {}
  /// `parent` ends with a slash.
  explicit temporary_directory(const std::string& parent) : path_(parent + "millrace-XXXXXX") {
    MILLRACE_CHECK(mkdtemp(path_.data()) != nullptr, "the test machine has room for a directory");
  }
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace millrace
