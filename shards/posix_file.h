#pragma once
/// A file of the operating system, direct where the file system allows it, and what the write
/// queues need of it.
#include <memory>
#include <string>

#include "shards/file.h"

namespace millrace {

class posix_file : public file {
 public:
  static result<std::unique_ptr<posix_file>> open(const std::string& path, open_mode mode);
  ~posix_file() override;
  posix_file(const posix_file&) = delete;
  posix_file& operator=(const posix_file&) = delete;

  const std::string& path() const override { return path_; }
  result<std::uint64_t> size() const override;
  status read_at(std::uint64_t offset, mutable_byte_view into) const override;
  std::uint32_t read_alignment() const override { return alignment_; }
  std::uint64_t next_data(std::uint64_t offset) const override;
  status allocate(std::uint64_t bytes) override;
  status truncate(std::uint64_t bytes) override;
  status write_durable(std::uint64_t offset, byte_view from) override;
  status sync() override;

  int descriptor() const { return fd_; }

 private:
  posix_file(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  void learn_alignment(bool direct);
  status read_exactly(std::uint64_t offset, mutable_byte_view into) const;

  std::string path_;
  int fd_;
  std::uint32_t alignment_ = 1;  ///< of reads; 1: the page cache is between
};

/// One write of a whole buffer as a queue's worker does it: pwritev2 with RWF_DSYNC for `durable`.
status write_fully(const posix_file& to, std::uint64_t offset, byte_view from, durability wanted);

/// Makes the names in `directory` durable.
status sync_directory(const std::string& directory);

}  // namespace millrace
