#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <poll.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "app/machine.h"
#include "base/clock.h"
#include "base/limits.h"
#include "shards/aligned_buffer.h"
#include "shards/file.h"

namespace millrace {
namespace {

constexpr std::uint64_t file_bytes = 256 * limits::mib;
constexpr std::uint32_t in_flight = limits::flushes_in_flight_max;

std::string file_system_name(long type) {
  switch (static_cast<std::uint64_t>(type)) {
    case 0xef53:
      return "ext4";
    case 0x58465342:
      return "xfs";
    case 0x9123683e:
      return "btrfs";
    case 0x01021994:
      return "tmpfs";
    case 0x794c7630:
      return "overlayfs";
    case 0x6969:
      return "nfs";
    case 0x2fc12fc1:
      return "zfs";
    default:
      return fmt::format("type {:#x}", static_cast<std::uint64_t>(type));
  }
}

/// Durable writes of `bytes` each, `depth` in flight, over and over the file, until `until_us`.
class write_run {
 public:
  write_run(file& to, write_queue& queue, byte_view block, std::uint32_t depth)
      : to_(to), queue_(queue), block_(block), depth_(depth) {}

  /// The latency of every write.
  result<std::vector<std::uint64_t>> until(std::uint64_t until_us) {
    std::vector<std::uint64_t> latencies;
    std::uint64_t started = 0;
    std::uint64_t ended = 0;
    while (ended < started || monotonic_us() < until_us) {
      while (started - ended < depth_ && monotonic_us() < until_us) {
        started_us_[started % started_us_.size()] = monotonic_us();
        const std::uint64_t offset = started * block_.size() % file_bytes;
        if (!queue_.submit(to_, offset, block_, durability::durable, started)) break;
        ++started;
      }
      finished_.clear();
      queue_.poll(finished_);
      for (finished_write& one : finished_) {
        MILLRACE_TRY(std::move(one.outcome));
        latencies.push_back(monotonic_us() - started_us_[one.token % started_us_.size()]);
        ++ended;
      }
      if (finished_.empty()) wait();
    }
    return latencies;
  }

 private:
  void wait() {
    pollfd one{.fd = queue_.poll_fd(), .events = POLLIN, .revents = 0};
    poll(&one, one.fd >= 0 ? 1u : 0u, 1);
  }

  file& to_;
  write_queue& queue_;
  const byte_view block_;
  const std::uint32_t depth_;
  std::array<std::uint64_t, 64> started_us_{};
  std::vector<finished_write> finished_;
};

}  // namespace

result<disk_facts> measure_disk(const std::string& directory, double seconds) {
  disk_facts out;
  struct statfs about {};
  if (statfs(directory.c_str(), &about) != 0)
    return error::from_errno(errno, "'" + directory + "'");
  out.file_system = file_system_name(static_cast<long>(about.f_type));
  out.is_memory = out.file_system == "tmpfs";
  out.free_bytes = about.f_bavail * static_cast<std::uint64_t>(about.f_bsize);
  const auto files = make_posix_file_system(flush_engine::automatic);
  const auto queue = files->make_write_queue(in_flight);
  out.engine = queue->describe();
  if (seconds <= 0) return out;
  if (out.free_bytes < 2 * file_bytes)
    return error(error_code::storage_full,
                 fmt::format("'{}' has {} bytes free, the measurement takes {}", directory,
                             out.free_bytes, file_bytes));

  const std::string path = fmt::format("{}/doctor.{}.tmp", directory, getpid());
  struct remove_at_end {
    file_system& files;
    const std::string& path;
    ~remove_at_end() { static_cast<void>(files.remove(path).ok()); }
  } const cleaner{*files, path};
  MILLRACE_ASSIGN(const auto opened, files->open(path, open_mode::create));
  MILLRACE_TRY(opened->allocate(file_bytes));
  const aligned_memory block = allocate_aligned(limits::mib);
  std::fill_n(block.get(), limits::mib, std::byte{0x5a});
  const byte_view whole(block.get(), limits::mib);

  const auto half_us = static_cast<std::uint64_t>(seconds * 5e5);
  const std::uint64_t begun = monotonic_us();
  MILLRACE_ASSIGN(const auto large,
                  write_run(*opened, *queue, whole, in_flight).until(begun + half_us));
  out.write_rate = large.size() * limits::mib * 1'000'000 / (monotonic_us() - begun);
  MILLRACE_ASSIGN(
      auto small,
      write_run(*opened, *queue, whole.first(disk_block_bytes), 1).until(monotonic_us() + half_us));
  if (!small.empty()) {
    std::nth_element(small.begin(), small.begin() + static_cast<std::ptrdiff_t>(small.size() / 2),
                     small.end());
    out.write_latency_us = small[small.size() / 2];
  }
  return out;
}

}  // namespace millrace
