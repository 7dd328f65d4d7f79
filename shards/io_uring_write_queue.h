#pragma once
/// Writes by io_uring. The only file that knows liburing is io_uring_write_queue.cc.
#include <memory>

#include "shards/file.h"

namespace millrace {

/// For posix files. An `unsupported` error where the kernel does not allow io_uring.
result<std::unique_ptr<write_queue>> make_io_uring_write_queue(std::uint32_t in_flight_max);

}  // namespace millrace
