#pragma once
/// Writes by a few threads with pwritev2, for kernels that do not allow io_uring.
#include <memory>

#include "shards/file.h"

namespace millrace {

/// The threads that the write queues of one file system share: with thousands of streams each
/// queue cannot have its own.
class write_threads;

std::shared_ptr<write_threads> make_write_threads(std::uint32_t count);
std::unique_ptr<write_queue> make_thread_write_queue(std::shared_ptr<write_threads> threads,
                                                     std::uint32_t in_flight_max);

}  // namespace millrace
