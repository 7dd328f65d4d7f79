#pragma once
/// A file or a pipe as a window of bytes that moves on: what record readers look at.
#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/types.h"

namespace millrace {

/// One thread.
class record_input {
 public:
  /// "-" is standard input. `stop` (may be null) ends a wait for a pipe.
  static result<std::unique_ptr<record_input>> open(const std::string& path,
                                                    const std::atomic<bool>* stop);
  ~record_input();
  record_input(const record_input&) = delete;
  record_input& operator=(const record_input&) = delete;

  /// What has been read and not consumed. At least padding_bytes more may be read behind it.
  std::string_view window() const { return {buffer_.get() + from_, to_ - from_}; }
  /// Reads more behind the window: true when it grew, false at the end of the input. Moves the
  /// window's bytes; never lets it grow beyond window_bytes_max.
  result<bool> more();
  void consume(std::size_t bytes);
  status rewind();

  std::uint64_t bytes_consumed() const { return consumed_; }
  std::uint64_t bytes_total() const { return total_; }  ///< 0: not known

  static constexpr std::size_t window_bytes_max = 11 * 1024 * 1024;
  static constexpr std::size_t padding_bytes = 64;  ///< what simdjson may read beyond

 private:
  record_input() = default;
  void make_room();

  std::string name_;
  int fd_ = -1;
  bool owns_fd_ = false;
  bool is_regular_ = false;
  const std::atomic<bool>* stop_ = nullptr;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace millrace
