#pragma once
/// SubscribeToShard: each subscription is an answer of five minutes that gets an event whenever its
/// shard has something new, and every five seconds anyway.
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/http_gate.h"
#include "api/kinesis_service.h"
#include "api/log_news.h"
#include "api/worker_pool.h"

namespace millrace {

inline constexpr std::uint64_t subscription_us = 300'000'000;
inline constexpr std::uint64_t takeover_us = 5'000'000;
/// While clients have not taken so much of their answers, no more records are read for any.
inline constexpr std::uint64_t unsent_bytes_max = 256 * limits::mib;

/// Which subscription a consumer has of a shard, over all doors: a newer one takes it over.
/// Thread-safe.
class subscription_book {
 public:
  struct place {
    stream_id stream{};
    shard_index shard{};
    std::string consumer;
    friend auto operator<=>(const place&, const place&) = default;
  };
  /// The number of a new subscription; 0 when one younger than five seconds has the place.
  std::uint64_t enter(const place& where, std::uint64_t now_us);
  bool is_current(const place& where, std::uint64_t number) const;
  void leave(const place& where, std::uint64_t number);

 private:
  struct holder {
    std::uint64_t number = 0;
    std::uint64_t since_us = 0;
  };
  mutable std::mutex mutex_;
  std::map<place, holder> holders_;
  std::uint64_t next_ = 1;
};

/// What a SubscribeToShard starts with, found by a worker.
struct subscription_start {
  subscription_book::place where;
  stream_handle at;
  record_index next{};
};
kinesis_outcome start_subscription(const action_call& call, subscription_start& into);

/// The subscriptions of one door; on its thread. Events are made by workers, because reading may
/// wait for the disk, and come back by `post_back`.
class kinesis_fanout {
 public:
  using post_back = std::function<void(std::function<void()>)>;

  kinesis_fanout(const kinesis_service& service, subscription_book& book, worker_pool& workers,
                 log_news& news, const std::atomic<std::uint64_t>& unsent, post_back post);
  ~kinesis_fanout();

  /// Answers at once with the head and the first event, or with an error.
  void add(std::shared_ptr<http_exchange> exchange, wire_encoding encoding,
           const subscription_start& start, std::uint64_t now_us);
  void on_news(stream_id stream);
  int do_work(std::uint64_t now_us);
  std::uint64_t next_due_us() const;
  std::size_t size() const { return size_; }
  void abandon();

 private:
  struct subscription;
  struct event;
  using subscriptions = std::vector<std::shared_ptr<subscription>>;

  bool look_after(const std::shared_ptr<subscription>& one, std::uint64_t now_us);
  void look_after_all(subscriptions& all, std::uint64_t now_us);
  void read(const std::shared_ptr<subscription>& one);
  event make_event(wire_encoding encoding, const subscription_book::place& where, record_index next,
                   const std::string& continuation) const;
  void deliver(const std::shared_ptr<subscription>& one, event& made);
  void end(subscription& one);

  const kinesis_service& service_;
  subscription_book& book_;
  worker_pool& workers_;
  log_news& news_;
  const std::atomic<std::uint64_t>& unsent_;
  const post_back post_;
  std::unordered_map<stream_id, subscriptions> by_stream_;
  std::size_t size_ = 0;
  subscriptions drained_;  // whose clients have taken what they had
  std::uint64_t next_look_us_ = 0;
};

}  // namespace millrace
