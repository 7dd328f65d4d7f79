#pragma once
/// Answers producers that reconnected and never heard where their records went. The answer may have
/// to be read from disk, so a thread of its own looks it up.
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ingest/result_lookup.h"
#include "shards/stream_log.h"

namespace millrace {

/// Thread-safe but for stop(). Every question is answered, at the latest (as failed) by stop().
class result_service final : public result_lookup {
 public:
  /// Null when there is no such stream.
  using find_log = std::function<std::shared_ptr<const stream_log>(stream_id)>;
  /// Questions waiting. A door asks one a session and repeats what found no room.
  static constexpr std::size_t queries_max = 1024;

  explicit result_service(find_log find);
  ~result_service() override;  ///< stop()s

  bool ask(result_query& query) override;
  /// When it returns no answer will come any more, and no question is taken.
  void stop();

 private:
  void run();
  void answer(result_query& query) const;

  const find_log find_;
  std::mutex mutex_;
  std::deque<result_query*> queries_;
  std::condition_variable asked_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace millrace
