#include "api/quota_book.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace millrace {
namespace {

/// No shard: what counts for the whole stream.
constexpr std::uint32_t whole_stream = UINT32_MAX;
/// Beyond it, full buckets are dropped: a new one is full as well.
constexpr std::size_t buckets_max = 100'000;

struct call_rate {
  std::string_view action;
  double per_second;
};
/// By account; ListShards is 1000 a stream. Actions without a row have no rate of their own.
constexpr std::array call_rates{
    call_rate{"CreateStream", 5},
    call_rate{"DeleteStream", 5},
    call_rate{"DeregisterStreamConsumer", 5},
    call_rate{"DescribeLimits", 1},
    call_rate{"DescribeStream", 10},
    call_rate{"DescribeStreamConsumer", 20},
    call_rate{"DescribeStreamSummary", 20},
    call_rate{"ListShards", 1000},
    call_rate{"ListStreamConsumers", 5},
    call_rate{"ListStreams", 5},
    call_rate{"MergeShards", 5},
    call_rate{"RegisterStreamConsumer", 5},
    call_rate{"SplitShard", 5},
    call_rate{"UpdateAccountSettings", 5},
    call_rate{"UpdateShardCount", 10},
    call_rate{"UpdateStreamWarmThroughput", 5},
};

}  // namespace

bool token_bucket::has(double amount, double per_second, double capacity, std::uint64_t now_us) {
  const double passed = now_us > since_us_ ? static_cast<double>(now_us - since_us_) / 1e6 : 0;
  tokens_ = is_new_ ? capacity : std::min(capacity, tokens_ + passed * per_second);
  is_new_ = false;
  since_us_ = now_us;
  const double missing = std::max(0.0, capacity - tokens_ + amount);
  full_us_ = now_us + static_cast<std::uint64_t>(std::ceil(missing / per_second * 1e6));
  return tokens_ >= std::min(amount, capacity);
}

token_bucket& quota_book::bucket(const place& where, std::uint64_t now_us) {
  if (buckets_.size() >= buckets_max && !buckets_.contains(where))
    std::erase_if(buckets_, [&](const auto& one) { return one.second.is_full(now_us); });
  return buckets_[where];
}

bool quota_book::take_records(stream_id stream, std::uint32_t shard, double rate,
                              std::uint64_t bytes, std::uint64_t now_us) {
  std::lock_guard lock(mutex_);
  token_bucket& of_bytes = bucket({stream, shard, quota::write_bytes}, now_us);
  token_bucket& of_records = bucket({stream, shard, quota::write_records}, now_us);
  const double bytes_rate = rate * write_bytes_per_second;
  const double records_rate = rate * write_records_per_second;
  const auto amount = static_cast<double>(bytes);
  // Both are asked, so that both know the time.
  const bool has_bytes = of_bytes.has(amount, bytes_rate, bytes_rate, now_us);
  if (!of_records.has(1, records_rate, records_rate, now_us) || !has_bytes) return false;
  of_bytes.take(amount);
  of_records.take(1);
  return true;
}

bool quota_book::take_write(stream_id stream, shard_index shard, std::uint64_t bytes,
                            std::uint64_t now_us) {
  return take_records(stream, shard.value, 1, bytes, now_us);
}

bool quota_book::take_write(stream_id stream, std::uint32_t mib, std::uint64_t bytes,
                            std::uint64_t now_us) {
  return take_records(stream, whole_stream, std::max(mib, on_demand_mib), bytes, now_us);
}

bool quota_book::take_read(stream_id stream, shard_index shard, std::uint64_t now_us) {
  std::lock_guard lock(mutex_);
  token_bucket& of_calls = bucket({stream, shard.value, quota::reads}, now_us);
  token_bucket& of_bytes = bucket({stream, shard.value, quota::read_bytes}, now_us);
  const bool has_bytes = of_bytes.has(0, read_bytes_per_second, read_bytes_per_second, now_us);
  if (!of_calls.has(1, calls_per_second, calls_per_second, now_us) || !has_bytes) return false;
  of_calls.take(1);
  return true;
}

void quota_book::charge_read(stream_id stream, shard_index shard, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  const auto found = buckets_.find({stream, shard.value, quota::read_bytes});
  if (found != buckets_.end()) found->second.take(static_cast<double>(bytes));
}

bool quota_book::take_iterator(stream_id stream, shard_index shard, std::uint64_t now_us) {
  std::lock_guard lock(mutex_);
  token_bucket& of_calls = bucket({stream, shard.value, quota::iterators}, now_us);
  if (!of_calls.has(1, calls_per_second, calls_per_second, now_us)) return false;
  of_calls.take(1);
  return true;
}

bool quota_book::take_call(std::string_view action, std::uint64_t now_us) {
  const auto rate = std::find_if(call_rates.begin(), call_rates.end(),
                                 [&](const call_rate& one) { return one.action == action; });
  if (rate == call_rates.end()) return true;
  std::lock_guard lock(mutex_);
  token_bucket& of_calls = calls_[std::string(action)];
  if (!of_calls.has(1, rate->per_second, rate->per_second, now_us)) return false;
  of_calls.take(1);
  return true;
}

bool quota_book::take_reshard(stream_id stream, std::uint64_t now_us) {
  return take_daily(stream, quota::reshards, 10, now_us);
}

bool quota_book::take_mode_change(stream_id stream, std::uint64_t now_us) {
  return take_daily(stream, quota::mode_changes, 2, now_us);
}

bool quota_book::take_daily(stream_id stream, quota of, double calls, std::uint64_t now_us) {
  constexpr double day_s = 24 * 3600;
  std::lock_guard lock(mutex_);
  token_bucket& of_calls = bucket({stream, whole_stream, of}, now_us);
  if (!of_calls.has(1, calls / day_s, calls, now_us)) return false;
  of_calls.take(1);
  return true;
}

}  // namespace millrace
