#pragma once
/// The throughput quotas of AWS, for `--compat-limits on`: so that an application meets at home
/// what it will meet there. Source: "Quotas and limits", Kinesis Data Streams Developer Guide.
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/limits.h"

namespace millrace {

/// Fills up evenly, holds one period's worth. What is taken may be more than is there, once: the
/// rest is owed, and nothing is given before it is there again.
class token_bucket {
 public:
  /// Whether `amount` may be taken: it is there, or the bucket is full and cannot hold more.
  bool has(double amount, double per_second, double capacity, std::uint64_t now_us);
  void take(double amount) { tokens_ -= amount; }
  bool is_full(std::uint64_t now_us) const { return now_us >= full_us_; }

 private:
  double tokens_ = 0;
  std::uint64_t since_us_ = 0;
  std::uint64_t full_us_ = 0;
  bool is_new_ = true;
};

/// Thread-safe. Times are monotonic microseconds, given by the caller.
class quota_book {
 public:
  static constexpr double write_bytes_per_second = limits::mib;
  static constexpr double write_records_per_second = 1000;
  static constexpr double read_bytes_per_second = 2.0 * limits::mib;
  static constexpr double calls_per_second = 5;      ///< GetRecords, GetShardIterator: of a shard
  static constexpr std::uint32_t on_demand_mib = 4;  ///< what such a stream begins with

  /// One record into a shard of a stream in PROVISIONED mode.
  bool take_write(stream_id stream, shard_index shard, std::uint64_t bytes, std::uint64_t now_us);
  /// One record into a stream in ON_DEMAND mode that takes so many MiB a second.
  bool take_write(stream_id stream, std::uint32_t mib, std::uint64_t bytes, std::uint64_t now_us);
  /// A call of GetRecords. What it gave is charged afterwards: a large answer blocks the next ones.
  bool take_read(stream_id stream, shard_index shard, std::uint64_t now_us);
  void charge_read(stream_id stream, shard_index shard, std::uint64_t bytes);
  bool take_iterator(stream_id stream, shard_index shard, std::uint64_t now_us);
  /// A call of an action that the account has a rate for; true for every other.
  bool take_call(std::string_view action, std::uint64_t now_us);
  /// UpdateShardCount: ten in 24 hours a stream.
  bool take_reshard(stream_id stream, std::uint64_t now_us);
  /// UpdateStreamMode: two in 24 hours a stream.
  bool take_mode_change(stream_id stream, std::uint64_t now_us);

 private:
  enum class quota : std::uint8_t {
    write_bytes,
    write_records,
    read_bytes,
    reads,
    iterators,
    reshards,
    mode_changes
  };
  struct place {
    stream_id stream{};
    std::uint32_t shard = 0;
    quota of = quota::write_bytes;
    friend auto operator<=>(const place&, const place&) = default;
  };
  token_bucket& bucket(const place& where, std::uint64_t now_us);
  bool take_daily(stream_id stream, quota of, double calls, std::uint64_t now_us);
  bool take_records(stream_id stream, std::uint32_t shard, double rate, std::uint64_t bytes,
                    std::uint64_t now_us);

  std::mutex mutex_;
  std::map<place, token_bucket> buckets_;
  std::map<std::string, token_bucket, std::less<>> calls_;
};

}  // namespace millrace
