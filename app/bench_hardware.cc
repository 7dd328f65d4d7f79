// The ceilings: what memory and disks do when nothing else is asked of them.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "app/bench_context.h"
#include "base/clock.h"
#include "base/limits.h"
#include "shards/file.h"

namespace millrace {
namespace {

struct free_memory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using aligned_memory = std::unique_ptr<std::byte, free_memory>;

aligned_memory make_memory(std::size_t bytes) {
  aligned_memory memory(static_cast<std::byte*>(std::aligned_alloc(disk_block_bytes, bytes)));
  MILLRACE_CHECK(memory != nullptr, "out of memory at the start of a measurement");
  std::memset(memory.get(), 0x5a, bytes);
  return memory;
}

/// Bytes copied a second by one thread, far outside the caches.
double copy_rate(double seconds) {
  constexpr std::size_t bytes = 256 * limits::mib;
  const aligned_memory from = make_memory(bytes);
  const aligned_memory to = make_memory(bytes);
  const std::uint64_t began = thread_cpu_ns();
  std::uint64_t copied = 0;
  std::uint64_t used = 0;
  do {
    std::memcpy(to.get(), from.get(), bytes);
    copied += bytes;
    used = thread_cpu_ns() - began;
  } while (static_cast<double>(used) < seconds * 1e9);
  return static_cast<double>(copied) * 1e9 / static_cast<double>(used);
}

/// Bytes made durable a second in the log's own way: blocks of `block_bytes`, direct and data-sync,
/// as many in flight as a log has, into a preallocated file.
result<double> disk_rate(const std::string& parent, std::uint64_t block_bytes, double seconds) {
  MILLRACE_ASSIGN(const scratch_directory folder, scratch_directory::create(parent));
  const auto files = make_posix_file_system(flush_engine::automatic);
  const auto queue = files->make_write_queue(limits::flushes_in_flight_max);
  MILLRACE_ASSIGN(const auto target, files->open(folder.path() + "/raw", open_mode::create));
  const std::uint64_t file_bytes = 2 * limits::segment_bytes_default;
  MILLRACE_TRY(target->allocate(file_bytes));
  const aligned_memory block = make_memory(block_bytes);
  std::vector<finished_write> finished;
  std::uint64_t submitted = 0;
  std::uint64_t written = 0;
  const std::uint64_t began = monotonic_us();
  const auto until = began + static_cast<std::uint64_t>(seconds * 1e6);
  for (;;) {
    const bool more = monotonic_us() < until && submitted + block_bytes <= file_bytes;
    if (!more && written == submitted) break;
    if (more && queue->submit(*target, submitted, byte_view(block.get(), block_bytes),
                              durability::durable, 0)) {
      submitted += block_bytes;
      continue;
    }
    finished.clear();
    queue->poll(finished);
    for (const auto& one : finished) {
      if (!one.outcome.ok()) return one.outcome.failure();
      written += block_bytes;
    }
    if (finished.empty()) std::this_thread::yield();
  }
  return static_cast<double>(written) * 1e6 / static_cast<double>(monotonic_us() - began);
}

}  // namespace

status bench_hardware(bench_context& context) {
  const bench_options& options = context.options();
  MILLRACE_TRY(context.measure({.group = "hardware",
                                .name = "memory copy, one core",
                                .unit = "bytes/s",
                                .note = "256 MiB buffers"},
                               [&]() -> result<double> { return copy_rate(options.seconds); }));
  for (const std::uint64_t block : {limits::mib / 4, limits::mib, 4 * limits::mib}) {
    MILLRACE_TRY(context.measure(
        {.group = "hardware",
         .name = "disk, durable writes of " + std::to_string(block / limits::kib) + " KiB",
         .unit = "bytes/s",
         .note = std::to_string(limits::flushes_in_flight_max) + " in flight, direct, data-sync"},
        [&] { return disk_rate(options.data, block, options.seconds); }));
  }
  return {};
}

}  // namespace millrace
