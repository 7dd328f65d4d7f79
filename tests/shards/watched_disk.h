#pragma once
/// What a program asks the kernel to make durable. watched_disk.cc has functions of the same names
/// as the C library's and liburing's; in a test program that links it they take those calls, of
/// ours and of libraries, note them and pass them on. A disk that forgets is not to be had, so
/// tests look at what was asked of it.
#include <string>
#include <vector>

namespace millrace::watched_disk {

struct call {
  enum class kind { sync, write, durable_write } what;  ///< the last is one with RWF_DSYNC
  std::string path;  ///< of the file or directory, without symbolic links

  friend bool operator==(const call&, const call&) = default;
};

/// The calls since the last time, of all threads, in order.
std::vector<call> take();

/// From now on, until it is called with "", each sync of that path fails with EIO.
void fail_syncs_of(const std::string& path);

}  // namespace millrace::watched_disk
