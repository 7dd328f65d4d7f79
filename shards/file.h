#pragma once
/// The one seam to the disk. Three versions: posix (posix_file_system.cc), memory
/// (memory_file_system.cc) and faulty (faulty_file_system.cc: forgets what was not synced, tears
/// writes, fills the disk, fails on demand), so that everything above is tested against what disks
/// do.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace millrace {

/// Offsets, sizes and buffers of segment writes are multiples of this, so that O_DIRECT works.
inline constexpr std::uint32_t disk_block_bytes = 4096;

/// An open file. read_at is thread-safe; all else belongs to one thread.
class file {
 public:
  virtual ~file() = default;
  virtual const std::string& path() const = 0;
  virtual result<std::uint64_t> size() const = 0;
  /// Reads exactly `into.size()` bytes, or an `io` or `corrupt` (end of file) error.
  virtual status read_at(std::uint64_t offset, mutable_byte_view into) const = 0;
  /// What the disk reads at once: offset, length and address of a read that are multiples of it go
  /// straight to the caller's memory, others through a copy. 1: no matter.
  virtual std::uint32_t read_alignment() const = 0;
  /// The first offset at or after `offset` that may hold anything but zeros; size() when there is
  /// none.
  virtual std::uint64_t next_data(std::uint64_t offset) const = 0;
  /// Reserves room up to `bytes`, so that later writes inside it cannot run out of space; the new
  /// part reads as zeros.
  virtual status allocate(std::uint64_t bytes) = 0;
  virtual status truncate(std::uint64_t bytes) = 0;
  /// Writes and makes durable. For small, rare writes (headers, indexes).
  virtual status write_durable(std::uint64_t offset, byte_view from) = 0;
  /// Makes durable whatever was written before, also by an earlier process.
  virtual status sync() = 0;
};

enum class durability : std::uint8_t {
  durable,  ///< a write completes when it survives power loss
  written,  ///< a write completes when the kernel has it (--ack written)
};

/// A write that has ended. `token` is the submitter's.
struct finished_write {
  std::uint64_t token = 0;
  status outcome;
};

/// Writes in flight. One thread.
class write_queue {
 public:
  virtual ~write_queue() = default;
  /// Starts writing `from` (which stays untouched until it ends) at `offset`; everything is a
  /// multiple of disk_block_bytes. False when full.
  [[nodiscard]] virtual bool submit(file& to, std::uint64_t offset, byte_view from,
                                    durability wanted, std::uint64_t token) = 0;
  /// Appends the writes that have ended since the last call, in any order.
  virtual void poll(std::vector<finished_write>& out) = 0;
  /// A descriptor that is readable while a finished write waits; -1: poll instead.
  virtual int poll_fd() const = 0;
  /// "io_uring" or "threads": for logs and doctor.
  virtual std::string describe() const = 0;
};

enum class open_mode : std::uint8_t {
  read,
  create,  ///< for reading and writing; fails when it exists
  update,  ///< for reading and writing; fails when it does not exist
};

class file_system {
 public:
  virtual ~file_system() = default;
  /// A created name is durable when the call returns. `already_exists` or `not_found` as the mode
  /// says.
  virtual result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) = 0;
  virtual result<std::vector<std::string>> list(
      const std::string& directory) = 0;                         ///< names, sorted
  virtual status create_directory(const std::string& path) = 0;  ///< durable; existing is fine
  virtual status remove(const std::string& path) = 0;            ///< durable
  virtual status remove_directory(const std::string& path) = 0;  ///< with what is in it
  virtual result<std::uint64_t> free_bytes(const std::string& directory) = 0;
  virtual std::unique_ptr<write_queue> make_write_queue(std::uint32_t in_flight_max) = 0;
};

enum class flush_engine : std::uint8_t { automatic, io_uring, threads };

/// The operating system's. `automatic` uses io_uring where the kernel allows it.
std::unique_ptr<file_system> make_posix_file_system(flush_engine engine);

}  // namespace millrace
