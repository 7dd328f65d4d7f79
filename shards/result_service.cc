#include "shards/result_service.h"

#include <utility>

namespace millrace {

result_service::result_service(find_log find)
    : find_(std::move(find)), thread_([this] { run(); }) {}

result_service::~result_service() {
  stop();
}

void result_service::stop() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  asked_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool result_service::ask(result_query& query) {
  {
    std::lock_guard lock(mutex_);
    if (ending_ || queries_.size() >= queries_max) return false;
    queries_.push_back(&query);
  }
  asked_.notify_one();
  return true;
}

void result_service::run() {
  while (true) {
    result_query* next = nullptr;
    bool ending = false;
    {
      std::unique_lock lock(mutex_);
      asked_.wait(lock, [&] { return ending_ || !queries_.empty(); });
      ending = ending_;
      if (queries_.empty()) return;
      next = queries_.front();
      queries_.pop_front();
    }
    next->places.clear();
    next->failed = ending;
    if (!ending) answer(*next);
    next->home->answered(*next);
  }
}

void result_service::answer(result_query& query) const {
  const std::shared_ptr<const stream_log> log = find_(query.stream);
  if (log == nullptr) return;
  const auto found = log->find_results(query.producer, query.first, query.count);
  if (!found.ok()) {
    query.failed = found.failure().code() != error_code::not_found;
    return;
  }
  query.places.reserve(found->size());
  for (const auto& place : *found) {
    query.places.push_back({.index = place.sequence.index,
                            .shard = place.sequence.shard,
                            .created_s = place.sequence.shard_created_s,
                            .arrival_s = place.sequence.arrival_s});
  }
}

}  // namespace millrace
