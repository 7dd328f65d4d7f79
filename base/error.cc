#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace millrace {

std::string_view to_string(error_code code) {
  switch (code) {
    case error_code::invalid_argument:
      return "invalid_argument";
    case error_code::not_found:
      return "not_found";
    case error_code::already_exists:
      return "already_exists";
    case error_code::exhausted:
      return "exhausted";
    case error_code::storage_full:
      return "storage_full";
    case error_code::io:
      return "io";
    case error_code::corrupt:
      return "corrupt";
    case error_code::fenced:
      return "fenced";
    case error_code::unavailable:
      return "unavailable";
    case error_code::timed_out:
      return "timed_out";
    case error_code::permission:
      return "permission";
    case error_code::unsupported:
      return "unsupported";
  }
  return "unknown";
}

error error::from_errno(int errno_value, std::string_view what) {
  const bool full = errno_value == ENOSPC || errno_value == EDQUOT;
  std::string message(what);
  message += ": ";
  message += std::strerror(errno_value);
  return {full ? error_code::storage_full : error_code::io, std::move(message)};
}

error error::with_context(std::string_view context) && {
  std::string message(context);
  message += ": ";
  message += message_;
  return {code_, std::move(message)};
}

}  // namespace millrace
