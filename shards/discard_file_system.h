#pragma once
/// A file system that forgets everything at once: writes complete when they are submitted, nothing
/// can be read back. For measuring what the path up to the disk costs, and for nothing else.
#include <memory>

#include "shards/file.h"

namespace millrace {

/// Thread-safe like the others. Names and sizes are kept until they are removed; bytes are not.
std::unique_ptr<file_system> make_discard_file_system();

}  // namespace millrace
