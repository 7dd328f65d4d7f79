#include <array>
#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/admin.h"

namespace millrace {
namespace {

std::string path_in(const std::string& directory) {
  return directory + "/admin.token";
}

}  // namespace

result<std::string> read_admin_token(const std::string& directory) {
  const std::string path = path_in(directory);
  std::ifstream file(path);
  std::string token;
  if (!file || !std::getline(file, token))
    return error(error_code::not_found, "no admin token can be read in '" + path + "'");
  return token;
}

result<std::string> load_or_make_admin_token(const std::string& directory) {
  const std::string path = path_in(directory);
  // Written beside and linked into place, so that no reader ever sees half of it and a token that
  // is there is never replaced.
  if (access(path.c_str(), F_OK) == 0) return read_admin_token(directory);

  std::array<unsigned char, 24> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return error::from_errno(errno, "random bytes for the admin token");
  std::string token;
  for (const unsigned char byte : random) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  const std::string partial = path + ".new";
  const int descriptor =
      open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return error::from_errno(errno, "'" + partial + "'");
  const std::string line = token + "\n";
  const bool written =
      write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      fsync(descriptor) == 0;
  const int reason = errno;
  close(descriptor);
  if (!written) return error::from_errno(reason, "'" + partial + "'");
  if (rename(partial.c_str(), path.c_str()) != 0) return error::from_errno(errno, "'" + path + "'");
  return token;
}

}  // namespace millrace
