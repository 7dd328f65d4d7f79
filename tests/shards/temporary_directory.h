#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

#include "base/check.h"

namespace millrace {

/// A directory of its own for a test, removed at the end.
class temporary_directory {
 public:
  temporary_directory() : path_(testing::TempDir() + "millrace-XXXXXX") {
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
