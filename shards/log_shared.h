#pragma once
/// What a log's appender publishes and its readers see.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "shards/file.h"
#include "shards/hot_tail.h"
#include "shards/run_cipher.h"
#include "shards/segment.h"

namespace millrace {

using segment_list = std::vector<std::shared_ptr<segment>>;

struct log_shared {
  log_shared(file_system& all_files, std::string in, stream_id of, std::uint64_t hot_bytes,
             std::shared_ptr<const log_keyring> keyring)
      : files(all_files),
        directory(std::move(in)),
        stream(of),
        opener(std::move(keyring)),
        hot(hot_bytes) {}

  /// A shard as readers see it.
  struct shard_bounds {
    record_index horizon{};  ///< oldest index still there
    record_index end{};      ///< one past the newest durable
  };

  file_system& files;
  const std::string directory;
  const stream_id stream;
  const run_opener opener;

  mutable std::mutex mutex;
  mutable std::condition_variable news;
  // --- guarded by the mutex; changed by the appender's thread alone, so it may look without ---
  /// Oldest first; replaced as a whole. What a segment's record says is fixed once it is not the
  /// last, but for its index.
  std::shared_ptr<const segment_list> segments = std::make_shared<segment_list>();
  std::unordered_map<shard_index, shard_bounds> shards;
  hot_tail hot;
  std::uint64_t newest_us = 0;
  std::uint64_t version = 1;

  // --- who wants to be told; a mutex of their own, so that the readers' is free meanwhile ---
  mutable std::mutex watchers_mutex;
  mutable std::vector<const std::function<void()>*> watchers;

  /// After something was published, without the mutex.
  void tell_news() const {
    news.notify_all();
    std::lock_guard lock(watchers_mutex);
    for (const auto* const one : watchers)
      (*one)();
  }

  // --- readers' counters, moved into the appender's counter_set by its thread ---
  mutable std::atomic<std::uint64_t> disk_bytes_read{0};
  mutable std::atomic<std::uint64_t> record_bytes_read{0};
  mutable std::atomic<std::uint64_t> blocks_damaged{0};
};

}  // namespace millrace
