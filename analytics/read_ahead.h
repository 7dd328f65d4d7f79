#pragma once
/// Blocks of a log one after another. While one that came from the disk is being worked on, a
/// thread reads the next: a view that is behind waits for the slower of both, not for both.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "shards/stream_log.h"

namespace millrace {

class read_ahead {
 public:
  explicit read_ahead(std::shared_ptr<const stream_log> log) : log_(std::move(log)) {}
  ~read_ahead();
  read_ahead(const read_ahead&) = delete;
  read_ahead& operator=(const read_ahead&) = delete;

  /// stream_log::next_block(). One thread.
  result<block_step> next(log_position from, bool pass_unreadable);

 private:
  /// A step that the thread is to take, and then what came of it.
  struct request {
    log_position from;
    std::optional<result<block_step>> step;
  };
  std::optional<result<block_step>> take(log_position from);
  void ask(log_position from);
  void read();

  const std::shared_ptr<const stream_log> log_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::optional<request> request_;
  bool ending_ = false;
  std::thread thread_;  ///< from the first request on
};

}  // namespace millrace
