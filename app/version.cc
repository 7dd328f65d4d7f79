#include "app/version.h"

namespace millrace {

/// Written by the build (cmake/WriteCommit.cmake) when the commit changes.
extern const char* const commit_text;

std::string version_text() {
  return std::string(MILLRACE_VERSION) + " (commit " + commit_text + ")";
}

}  // namespace millrace
