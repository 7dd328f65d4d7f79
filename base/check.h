#pragma once
/// Checks that stay on in release builds. They guard what only a bug of ours can break: no input
/// from a file, a socket or a user may ever trigger one; input gets an `error` (see error.h).

namespace millrace {

/// Prints `file:line: check failed: condition (what)` to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const char* what) noexcept;

}  // namespace millrace

#define MILLRACE_CHECK(condition, what)                               \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::millrace::check_failed(__FILE__, __LINE__, #condition, what); \
  } while (false)
