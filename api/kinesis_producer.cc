#include "api/kinesis_producer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/record_format.h"

namespace millrace {
namespace {

constexpr std::uint64_t backoff_us_min = 50'000;
constexpr std::uint64_t backoff_us_max = 2'000'000;
/// What a record takes here beyond its bytes, about: its place in the window and in a batch.
constexpr std::uint64_t record_cost_bytes = 96;

/// Records on their way, oldest first: outcomes come in any order and are delivered in the order of
/// numbers. Thread-safe.
class outcome_window {
 public:
  outcome_window(std::uint64_t bytes_max, producer::outcome_handler handler)
      : bytes_max_(bytes_max), handler_(std::move(handler)) {}

  /// Waits for room; the number of the record.
  result<std::uint64_t> add(std::uint64_t bytes) {
    std::unique_lock lock(mutex_);
    // One that is larger than all of it goes alone.
    changed_.wait(lock, [&] { return failure_ || slots_.empty() || bytes_ + bytes <= bytes_max_; });
    if (failure_) return *failure_;
    bytes_ += bytes;
    slots_.push_back({.bytes = bytes});
    return first_ + slots_.size() - 1;
  }

  struct settled {
    record_outcome what;
    std::string reason;
  };

  void settle(std::vector<settled> all) {
    std::lock_guard lock(mutex_);
    for (settled& given : all) {
      slot& one = slots_[given.what.number.value - first_];
      one.is_settled = true;
      one.is = std::move(given);
    }
    while (!slots_.empty() && slots_.front().is_settled) {
      slot& front = slots_.front();
      front.is.what.reason = front.is.reason;
      if (front.is.what.durable) ++durable_;
      if (handler_) handler_(front.is.what);
      bytes_ -= front.bytes;
      slots_.pop_front();
      ++first_;
    }
    changed_.notify_all();
  }

  /// From now on add() answers with `why`, and nobody waits.
  void refuse(const error& why) {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = why;
    changed_.notify_all();
  }

  status wait_until_empty(std::uint64_t timeout_us) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::microseconds(timeout_us),
                          [&] { return slots_.empty(); }))
      return {};
    return error(error_code::timed_out, fmt::format("{} records have no answer", slots_.size()));
  }

  std::uint64_t sent() const {
    std::lock_guard lock(mutex_);
    return first_ + slots_.size();
  }
  std::uint64_t durable() const {
    std::lock_guard lock(mutex_);
    return durable_;
  }

 private:
  struct slot {
    std::uint64_t bytes = 0;
    bool is_settled = false;
    settled is{};
  };

  const std::uint64_t bytes_max_;
  const producer::outcome_handler handler_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<slot> slots_;
  std::uint64_t first_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t durable_ = 0;
  std::optional<error> failure_;
};

class kinesis_producer final : public producer {
 public:
  kinesis_producer(const kinesis_producer_options& options, outcome_handler on_outcome)
      : options_(options),
        window_(options.buffer_bytes_max, std::move(on_outcome)),
        lanes_(options.connections) {}
  ~kinesis_producer() override;

  status connect();

  record_number next_record() const override { return record_number(window_.sent()); }
  result<record_number> send(std::string_view key, byte_view data,
                             const uint128* hash_key) override;
  status flush(std::uint64_t timeout_us) override;
  void close() override;
  producer_statistics statistics() const override;

 private:
  /// A connection, and the requests that wait for it; the last may still grow.
  struct lane {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<put_batch> waiting;
    std::unique_ptr<put_client> client;
    std::thread thread;
  };

  bool is_full(const put_batch& batch, std::uint64_t more_bytes) const {
    return batch.entries().size() >= options_.records_max ||
           batch.payload_bytes() + more_bytes > options_.request_bytes_max;
  }
  std::optional<put_batch> next_batch(lane& from);
  void run(lane& on);
  std::uint64_t send_once(lane& on, put_batch& batch);
  outcome_window::settled settled_by(const put_batch::entry& which, put_result& result,
                                     std::uint64_t now_us) const;
  void say(const std::string& trouble);

  const kinesis_producer_options options_;
  outcome_window window_;
  std::vector<lane> lanes_;
  std::atomic<bool> is_closed_{false};
  std::atomic<std::uint32_t> flushing_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> resent_{0};
  std::atomic<std::uint64_t> rtt_us_{0};
  mutable std::mutex trouble_mutex_;
  std::string trouble_;
};

kinesis_producer::~kinesis_producer() {
  close();
  for (lane& one : lanes_) {
    if (one.thread.joinable()) one.thread.join();
  }
}

status kinesis_producer::connect() {
  for (lane& one : lanes_) {
    one.client = std::make_unique<put_client>(options_.target);
    MILLRACE_TRY(one.client->connect(options_.connect_timeout_us));
  }
  for (lane& one : lanes_)
    one.thread = std::thread([this, &one] { run(one); });
  return {};
}

result<record_number> kinesis_producer::send(std::string_view key, byte_view data,
                                             const uint128* hash_key) {
  if (const record_fault fault = check_partition_key(key); fault != record_fault::none)
    return error(error_code::invalid_argument,
                 fmt::format("record {}: its partition key of {} bytes has to be UTF-8 of 1 to 256 "
                             "characters",
                             window_.sent(), key.size()));
  if (key.size() + data.size() > limits::record_payload_bytes_max)
    return error(error_code::invalid_argument,
                 fmt::format("record {}: key and data of {} bytes are over {}", window_.sent(),
                             key.size() + data.size(), limits::record_payload_bytes_max));
  const std::uint64_t bytes = key.size() + data.size();
  MILLRACE_ASSIGN(const std::uint64_t number, window_.add((bytes + 2) / 3 * 4 + record_cost_bytes));
  lane& one = lanes_[std::hash<std::string_view>()(key) % lanes_.size()];
  std::lock_guard lock(one.mutex);
  const bool begins = one.waiting.empty() || is_full(one.waiting.back(), bytes);
  if (begins) one.waiting.emplace_back(options_.target.stream);
  one.waiting.back().add(number, monotonic_us(), key, data, hash_key);
  // The first starts the clock, the last fills it; those between change nothing.
  if (begins || is_full(one.waiting.back(), 0)) one.changed.notify_one();
  return record_number(number);
}

/// The next request to send: a full one, or one that has waited long enough. None at the end.
std::optional<put_batch> kinesis_producer::next_batch(lane& from) {
  std::unique_lock lock(from.mutex);
  for (;;) {
    if (is_closed_.load()) return std::nullopt;
    if (from.waiting.empty()) {
      from.changed.wait(lock);
      continue;
    }
    const put_batch& oldest = from.waiting.front();
    const std::uint64_t due_us = oldest.entries().front().time_us + options_.linger_us;
    const std::uint64_t now_us = monotonic_us();
    if (from.waiting.size() > 1 || is_full(oldest, 0) || flushing_.load() > 0 || now_us >= due_us)
      break;
    from.changed.wait_for(lock, std::chrono::microseconds(due_us - now_us));
  }
  put_batch taken = std::move(from.waiting.front());
  from.waiting.pop_front();
  return taken;
}

void kinesis_producer::run(lane& on) {
  while (auto batch = next_batch(on)) {
    std::uint64_t backoff_us = backoff_us_min;
    for (;;) {
      const std::uint64_t left = send_once(on, *batch);
      if (left == 0) break;
      resent_.fetch_add(left);
      std::unique_lock lock(on.mutex);
      on.changed.wait_for(lock, std::chrono::microseconds(backoff_us),
                          [&] { return is_closed_.load(); });
      if (is_closed_.load()) return;
      backoff_us = std::min(backoff_us * 2, backoff_us_max);
    }
  }
}

/// Sends the batch and leaves in it what has to be sent again; how much that is.
std::uint64_t kinesis_producer::send_once(lane& on, put_batch& batch) {
  const std::uint64_t start_us = monotonic_us();
  std::vector<put_result> results = on.client->send(batch);
  const std::uint64_t now_us = monotonic_us();
  requests_.fetch_add(1, std::memory_order_relaxed);
  rtt_us_.store(now_us - start_us, std::memory_order_relaxed);
  put_batch again(options_.target.stream);
  std::vector<outcome_window::settled> settled;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const put_batch::entry& which = batch.entries()[i];
    if (results[i].is == put_result::fate::again) {
      if (again.entries().empty()) say(results[i].reason);
      again.add(batch, which);
    } else {
      settled.push_back(settled_by(which, results[i], now_us));
      // What the server refused once it would refuse again: no use in sending it the rest.
      if (!settled.back().what.durable)
        window_.refuse(error(error_code::unavailable, settled.back().reason));
    }
  }
  window_.settle(std::move(settled));
  batch = std::move(again);
  return batch.entries().size();
}

outcome_window::settled kinesis_producer::settled_by(const put_batch::entry& which,
                                                     put_result& result,
                                                     std::uint64_t now_us) const {
  record_outcome what;
  what.number = record_number(which.number);
  what.durable = result.is == put_result::fate::stored;
  what.latency_us = now_us - which.time_us;
  if (result.place && options_.wants_results) {
    what.has_place = true;
    what.shard = result.place->shard;
    what.shard_created_s = result.place->shard_created_s;
    what.index = result.place->index;
    what.arrival_s = result.place->arrival_s;
  }
  return {what, std::move(result.reason)};
}

void kinesis_producer::say(const std::string& trouble) {
  std::lock_guard lock(trouble_mutex_);
  trouble_ = trouble;
}

status kinesis_producer::flush(std::uint64_t timeout_us) {
  flushing_.fetch_add(1);
  for (lane& one : lanes_) {
    std::lock_guard lock(one.mutex);
    one.changed.notify_one();
  }
  const status done = window_.wait_until_empty(timeout_us);
  flushing_.fetch_sub(1);
  return done;
}

void kinesis_producer::close() {
  is_closed_.store(true);
  window_.refuse(error(error_code::unavailable, "the producer is closed"));
  for (lane& one : lanes_) {
    std::lock_guard lock(one.mutex);
    one.changed.notify_one();
  }
}

producer_statistics kinesis_producer::statistics() const {
  producer_statistics out;
  out.records_sent = window_.sent();
  out.records_durable = window_.durable();
  out.requests_sent = requests_.load();
  out.records_resent = resent_.load();
  out.rtt_us = rtt_us_.load();
  std::lock_guard lock(trouble_mutex_);
  out.last_trouble = trouble_;
  return out;
}

}  // namespace

result<std::unique_ptr<producer>> connect_kinesis_producer(const kinesis_producer_options& options,
                                                           producer::outcome_handler on_outcome) {
  auto made = std::make_unique<kinesis_producer>(options, std::move(on_outcome));
  MILLRACE_TRY(made->connect());
  return std::unique_ptr<producer>(std::move(made));
}

}  // namespace millrace
