#pragma once
/// What `millrace --version` and the startup log say.
#include <string>

namespace millrace {

/// "0.1.0 (commit 0123456789ab)".
std::string version_text();

}  // namespace millrace
