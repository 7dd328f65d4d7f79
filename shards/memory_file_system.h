#pragma once
/// A disk in memory that loses what disks lose: after crash() a file has what was made durable and,
/// of every write that was not, any subset of its 512-byte sectors. Names, sizes and reservations
/// are durable at once, as file_system promises.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "shards/file.h"

namespace millrace {

class memory_file_system : public file_system {
 public:
  /// `capacity` bounds the bytes reserved by all files.
  explicit memory_file_system(std::uint64_t capacity = UINT64_MAX);
  ~memory_file_system() override;

  result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) override;
  result<std::vector<std::string>> list(const std::string& directory) override;
  status create_directory(const std::string& path) override;
  status remove(const std::string& path) override;
  status remove_directory(const std::string& path) override;
  result<std::uint64_t> free_bytes(const std::string& directory) override;
  std::unique_ptr<write_queue> make_write_queue(std::uint32_t in_flight_max) override;

  // --- for tests ---

  /// Power fails: whatever was not durable is kept sector by sector with the given chance in 256.
  /// Files that are open and writes that are queued belong to the time before.
  void crash(std::mt19937_64& random, std::uint32_t kept_of_256);
  /// The program dies, the machine does not: what was handed to the disk is there, queued writes
  /// too.
  void kill();
  /// Queued writes end only while this is false.
  void hold_writes(bool hold);
  /// How many queued writes may end before the rest is held; for crashes between two of them.
  void allow_writes(std::uint64_t count);
  void set_capacity(std::uint64_t bytes);
  /// The bytes of a file, for damaging it.
  std::vector<std::byte> content(const std::string& path) const;
  void set_content(const std::string& path, std::vector<std::byte> bytes);
  void flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);

 private:
  friend class memory_file;
  friend class memory_write_queue;
  struct disk;
  std::shared_ptr<disk> disk_;
};

}  // namespace millrace
