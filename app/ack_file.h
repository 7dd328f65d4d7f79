#pragma once
/// The file of `produce --acks`: a line "NUMBER SHARD SEQUENCE" for each durable record, as
/// "17 shardId-000000000002 4959…". A line that is there is true, whatever happens afterwards.
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/error.h"
#include "ingest/producer.h"

namespace millrace {

/// Thread-safe.
class ack_file {
 public:
  /// A new file, or an emptied one; when `goes_on`, what is there is kept, but for an incomplete
  /// last line.
  static result<std::unique_ptr<ack_file>> open(const std::string& path, bool goes_on);
  ~ack_file();
  ack_file(const ack_file&) = delete;
  ack_file& operator=(const ack_file&) = delete;

  /// The number after that of the last line there was; 0 for an empty file.
  std::uint64_t next_number() const { return next_number_; }

  /// Adds a line; a record whose place the server no longer knows gets "NUMBER - -".
  void add(const record_outcome& what);
  /// Hands what has been added to the operating system. The first error stays, for status().
  void flush();
  result<std::uint64_t> lines() const;  ///< added by us, or the error that lost some

 private:
  ack_file(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  status read_end();
  void write_out();

  std::string path_;
  int fd_;
  std::uint64_t next_number_ = 0;
  mutable std::mutex mutex_;
  std::string waiting_;
  std::uint64_t lines_ = 0;
  status failure_;
};

}  // namespace millrace
