// The ceilings: what memory and disks do when nothing else is asked of them.
#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "app/bench_context.h"
#include "base/clock.h"
#include "base/limits.h"
#include "shards/aligned_buffer.h"
#include "shards/file.h"

namespace millrace {
namespace {

aligned_memory make_memory(std::size_t bytes) {
  aligned_memory memory = allocate_aligned(bytes);
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

/// Records of `record_bytes` a second that one thread can bring from batches of `batch_bytes` into
/// blocks, in another order: `shards` runs, as the log writes them. Nothing but the copies, with
/// what the log does for its own: records ahead are fetched. 128 MiB of batches in turn.
double gather_rate(std::uint32_t record_bytes, std::uint64_t batch_bytes, std::uint32_t shards,
                   double seconds) {
  constexpr std::size_t ahead = 12;
  const std::uint64_t batches = 128 * limits::mib / batch_bytes;
  const std::size_t count = batch_bytes / record_bytes;
  std::vector<std::vector<std::uint32_t>> runs(shards);
  for (std::uint32_t i = 0; i < count; ++i)
    runs[(i * 2654435761u >> 12) % shards].push_back(i);
  std::vector<std::uint32_t> order;
  for (const auto& run : runs)
    order.insert(order.end(), run.begin(), run.end());
  const aligned_memory from = make_memory(batches * batch_bytes);
  const aligned_memory to = make_memory(batch_bytes);
  const std::uint64_t began = thread_cpu_ns();
  std::uint64_t used = 0;
  std::uint64_t copied = 0;
  for (std::uint64_t batch = 0; static_cast<double>(used) < seconds * 1e9; ++batch) {
    const std::byte* const records = from.get() + batch % batches * batch_bytes;
    std::byte* at = to.get();
    for (std::size_t i = 0; i < count; ++i, at += record_bytes) {
      const std::byte* next =
          records + std::uint64_t{order[std::min(i + ahead, count - 1)]} * record_bytes;
      __builtin_prefetch(next);
      __builtin_prefetch(next + record_bytes - 1);
      std::memcpy(at, records + std::uint64_t{order[i]} * record_bytes, record_bytes);
    }
    copied += count;
    used = thread_cpu_ns() - began;
  }
  return static_cast<double>(copied) * 1e9 / static_cast<double>(used);
}

}  // namespace

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

status bench_hardware(bench_context& context) {
  const bench_options& options = context.options();
  MILLRACE_TRY(context.measure({.group = "hardware",
                                .name = "memory copy, one core",
                                .unit = "bytes/s",
                                .note = "256 MiB buffers"},
                               [&]() -> result<double> { return copy_rate(options.seconds); }));
  // A batch has at least `batch_bytes_per_shard` for each shard: many shards make it too large for
  // the second-level cache.
  for (const std::uint32_t shards : {1u, 4096u}) {
    const std::uint64_t batch = std::max<std::uint64_t>(limits::batch_bytes_default,
                                                        shards * limits::batch_bytes_per_shard);
    MILLRACE_TRY(context.measure(
        {.group = "hardware",
         .name = "copies of 112-byte records, " + std::to_string(shards) + " shards, one core",
         .unit = "records/s",
         .note = "batches of " + std::to_string(batch / limits::mib) + " MiB, nothing but copies"},
        [&]() -> result<double> { return gather_rate(112, batch, shards, options.seconds); }));
  }
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
