#pragma once
/// Puts faults between a log and its disk: writes that fail (whole, in part or not at all on the
/// disk), syncs, opens, reads, reservations and removals that fail, a limited number of times or
/// until told otherwise.
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "shards/file.h"

namespace millrace {

/// What to fail. A count of 0 is never, UINT64_MAX is until changed. Thread-safe.
struct fault_plan {
  std::atomic<std::uint64_t> good_writes{
      0};  ///< queued writes that still succeed before the next count
  std::atomic<std::uint64_t> failing_writes{0};       ///< queued writes: EIO
  std::atomic<std::uint64_t> failing_syncs{0};        ///< write_durable and sync: EIO
  std::atomic<std::uint64_t> failing_allocations{0};  ///< ENOSPC
  std::atomic<std::uint64_t> failing_removes{0};      ///< EIO
  std::atomic<std::uint64_t> failing_creates{0};      ///< EIO
  std::atomic<std::uint64_t> failing_opens{0};        ///< of files that exist: EMFILE
  /// Reads that touch [bad_from, bad_to) of files whose path ends in bad_suffix: EIO.
  std::atomic<std::uint64_t> bad_from{0};
  std::atomic<std::uint64_t> bad_to{0};
  std::string bad_suffix;  ///< set it before the range
};

class faulty_file_system : public file_system {
 public:
  /// `under` and `plan` outlive it.
  faulty_file_system(file_system& under, fault_plan& plan, std::uint64_t seed);

  result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) override;
  result<std::vector<std::string>> list(const std::string& directory) override {
    return under_.list(directory);
  }
  status create_directory(const std::string& path) override {
    return under_.create_directory(path);
  }
  status remove(const std::string& path) override;
  status remove_directory(const std::string& path) override {
    return under_.remove_directory(path);
  }
  result<std::uint64_t> free_bytes(const std::string& directory) override {
    return under_.free_bytes(directory);
  }
  std::unique_ptr<write_queue> make_write_queue(std::uint32_t in_flight_max) override;

 private:
  file_system& under_;
  fault_plan& plan_;
  std::uint64_t seed_;
};

}  // namespace millrace
