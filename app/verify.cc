#include "app/verify.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/record_reading.h"
#include "app/keys_file.h"
#include "app/parse.h"
#include "base/clock.h"
#include "gpu/md5.h"
#include "shards/catalog.h"
#include "shards/data_lock.h"
#include "shards/file.h"
#include "shards/stream_log.h"

namespace millrace {
namespace {

/// More findings than these say nothing new.
constexpr std::uint64_t findings_shown_max = 50;

/// What has been seen of a shard so far.
struct shard_progress {
  const shard_info* info = nullptr;
  std::uint64_t records = 0;
  record_index first{};
  record_index next{};
  std::uint64_t newest_us = 0;
};

/// Looks at every record of one stream's log.
class stream_check {
 public:
  stream_check(const stream_description& stream, const verify_options& options,
               std::shared_ptr<const log_keyring> keyring)
      : stream_(stream),
        keyring_(std::move(keyring)),
        show_progress_(options.progress && isatty(STDERR_FILENO) != 0) {
    for (const shard_info& shard : stream.shards)
      shards_[shard.shard].info = &shard;
  }

  status run(file_system& files, const std::string& directory) {
    recovery_report report;
    MILLRACE_ASSIGN(auto log,
                    stream_log::open(files, directory, stream_.id,
                                     {.keyring = keyring_, .read_only = true}, counters_, report));
    bytes_ = log->bytes();
    segments_ = report.segments;
    if (report.bytes_cut > 0)
      fmt::print("stream {}: {} after the last whole block do not count: a crash left them\n",
                 stream_.name, bytes_text(report.bytes_cut));
    stream_log::visitor visit;
    visit.block = [this](const std::vector<stored_record>& records) {
      for (const stored_record& one : records)
        look_at(one);
      show_progress();
      return true;
    };
    visit.damaged = [this](const damage& part) {
      damaged_.emplace(part.path, part.from);
      finding(fmt::format("{} bytes {}..{}: {}", part.path, part.from, part.to, part.what));
    };
    visit.locked = [this](shard_index shard, record_index first, std::uint32_t count) {
      locked_ += count;
      shard_progress& seen = shards_[shard];
      if (seen.records == 0) seen.first = first;
      seen.records += count;
      seen.next = first.next(count);
    };
    MILLRACE_TRY(log->scan(visit));
    // What the log is without, such as a missing segment, only its opening tells.
    for (const damage& part : report.damaged)
      if (!damaged_.contains({part.path, part.from})) visit.damaged(part);
    for (const auto& [shard, seen] : shards_) {
      const record_index end = log->durable_end(shard);
      if (seen.records > 0 && seen.next != end)
        finding(fmt::format("{}: records end at index {}, the log says {}", shard_name(shard),
                            seen.next.value, end.value));
    }
    return {};
  }

  void print() const {
    if (show_progress_) fmt::print(stderr, "\r\033[K");
    fmt::print("stream {}: {} records, {} of record bytes in {} segments, {}: {}\n", stream_.name,
               records_, bytes_text(record_bytes_), segments_, bytes_text(bytes_),
               findings_ == 0 ? "whole" : fmt::format("{} findings", findings_));
    if (locked_ > 0)
      fmt::print(
          "  {} more are encrypted under keys that were not given: only their checksums are "
          "checked\n",
          locked_);
    for (const shard_info& shard : stream_.shards) {
      const shard_progress& seen = shards_.at(shard.shard);
      fmt::print("  {}  {:<6} {:>12} records", shard_name(shard.shard),
                 shard.is_open() ? "open" : "closed", seen.records);
      if (seen.records > 0) fmt::print("  {}..{}", seen.first.value, seen.next.value - 1);
      fmt::print("\n");
    }
  }

  std::uint64_t findings() const { return findings_; }
  std::uint64_t records() const { return records_; }
  std::uint64_t record_bytes() const { return record_bytes_; }

 private:
  void look_at(const stored_record& one) {
    ++records_;
    record_bytes_ += one.record.record_bytes();
    const auto found = shards_.find(one.shard);
    if (found == shards_.end())
      return finding(fmt::format("{} index {}: the catalog has no such shard",
                                 shard_name(one.shard), one.index.value));
    shard_progress& seen = found->second;
    if (seen.records++ == 0) {
      seen.first = one.index;
    } else if (one.index != seen.next) {
      finding(fmt::format("{}: index {} follows {}", shard_name(one.shard), one.index.value,
                          seen.next.value - 1));
    }
    if (one.arrival_us < seen.newest_us)
      finding(fmt::format("{} index {}: arrival time {} is before {}", shard_name(one.shard),
                          one.index.value, one.arrival_us, seen.newest_us));
    seen.next = one.index.next();
    seen.newest_us = std::max(seen.newest_us, one.arrival_us);

    const uint128 hash =
        one.record.has_hash_key() ? one.record.hash_key() : hash_of(one.record.key());
    if (hash < seen.info->hash_first || hash > seen.info->hash_last)
      finding(fmt::format("{} index {}: the key's hash lies outside the shard's range",
                          shard_name(one.shard), one.index.value));
  }

  static uint128 hash_of(std::string_view key) {
    return md5(reinterpret_cast<const std::byte*>(key.data()),
               static_cast<std::uint32_t>(key.size()));
  }

  void finding(const std::string& what) {
    if (show_progress_) fmt::print(stderr, "\r\033[K");
    if (findings_ < findings_shown_max) fmt::print("stream {}: {}\n", stream_.name, what);
    if (++findings_ == findings_shown_max)
      fmt::print("stream {}: further findings are only counted\n", stream_.name);
  }

  void show_progress() {
    if (!show_progress_) return;
    const std::uint64_t now = monotonic_us();
    if (now - shown_us_ < 100'000) return;
    shown_us_ = now;
    fmt::print(stderr, "\r\033[Kstream {}: {} records, {} of {}", stream_.name, records_,
               bytes_text(record_bytes_), bytes_text(bytes_));
  }

  const stream_description& stream_;
  const std::shared_ptr<const log_keyring> keyring_;
  const bool show_progress_;
  counter_set counters_;
  std::set<std::pair<std::string, std::uint64_t>> damaged_;  ///< path and start of each range
  std::unordered_map<shard_index, shard_progress> shards_;
  std::uint64_t records_ = 0;
  std::uint64_t locked_ = 0;
  std::uint64_t record_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t segments_ = 0;
  std::uint64_t findings_ = 0;
  std::uint64_t shown_us_ = 0;
};

result<std::uint64_t> verify(const verify_options& options) {
  struct stat found {};
  const std::string catalog_path = options.data + "/catalog.db";
  if (stat(catalog_path.c_str(), &found) != 0)
    return error(error_code::not_found,
                 fmt::format("'{}' is no data directory: it has no catalog.db", options.data));
  MILLRACE_ASSIGN(const auto keyring, load_log_keyring(options.keyring));
  MILLRACE_ASSIGN(const data_lock lock, data_lock::acquire(options.data));
  MILLRACE_ASSIGN(const auto streams_of, catalog::open(catalog_path));
  MILLRACE_ASSIGN(const auto streams, streams_of->list());
  const auto files = make_posix_file_system(flush_engine::threads);

  const std::uint64_t started = monotonic_us();
  std::uint64_t findings = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::size_t checked = 0;
  for (const stream_description& stream : streams) {
    if (!options.stream.empty() && stream.name != options.stream) continue;
    stream_check check(stream, options, keyring);
    auto outcome = check.run(*files, options.data + "/streams/" + std::to_string(stream.id.value));
    check.print();
    if (!outcome.ok()) {
      fmt::print("stream {}: {}\n", stream.name, outcome.failure().message());
      ++findings;
    }
    ++checked;
    findings += check.findings();
    records += check.records();
    bytes += check.record_bytes();
  }
  if (!options.stream.empty() && checked == 0)
    return error(error_code::not_found, fmt::format("there is no stream '{}'", options.stream));
  const double seconds = static_cast<double>(monotonic_us() - started) / 1e6;
  fmt::print("verify: {} streams, {} records, {} in {:.1f} s: {}\n", checked, records,
             bytes_text(bytes), seconds,
             findings == 0 ? "everything is whole" : fmt::format("{} findings", findings));
  return findings;
}

}  // namespace

int run_verify(const verify_options& options) {
  auto findings = verify(options);
  if (!findings.ok()) {
    fmt::print(stderr, "millrace verify: {}\n", findings.failure().message());
    return 1;
  }
  return *findings == 0 ? 0 : 1;
}

}  // namespace millrace
