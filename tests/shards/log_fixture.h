#pragma once
/// A log under test, with verbs: write, reopen, crash, flip_bit, fill the disk.
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "shards/block_reader.h"
#include "shards/faulty_file_system.h"
#include "shards/log_format.h"
#include "shards/memory_file_system.h"
#include "tests/shards/batch_builder.h"

namespace millrace {

class log_fixture {
 public:
  static constexpr const char* directory = "/log";

  explicit log_fixture(const log_options& wanted = {.segment_bytes = 256 * 1024},
                       std::uint64_t seed = 1)
      : options(wanted), files(memory, plan, seed), random(seed) {
    reopen();
  }

  /// Closes and opens again, as after a clean stop.
  void reopen() {
    log = nullptr;
    open();
  }
  /// Opens a log that is expected not to open; the reason.
  std::string refusal() {
    log = nullptr;
    report = {};
    auto opened = stream_log::open(files, directory, stream_id(7), options, counters, report);
    return opened.ok() ? "" : opened.failure().message();
  }
  /// Power fails. Unfinished writes are kept sector by sector with the given chance.
  void crash(std::uint32_t kept_of_256) {
    memory.crash(random, kept_of_256);
    die();
  }
  /// The program is killed; the disk gets everything.
  void kill() {
    memory.kill();
    die();
  }

  /// Appends records "shard/key" => data to one raw entry.
  struct plain_record {
    std::uint32_t shard;
    std::string data;
  };
  built_batch& submit(const std::vector<plain_record>& records) {
    auto one = std::make_unique<built_batch>();
    one->raw_entry();
    for (const plain_record& record : records) {
      one->record(shard_index(record.shard), "key", record.data);
    }
    return submit(std::move(one));
  }
  built_batch& submit(std::unique_ptr<built_batch> one) {
    built_batch& batch = *one;
    batches.push_back(std::move(one));
    append_to(*log, batch, wall_us);
    return batch;
  }
  /// Submits and waits for the ack.
  built_batch& write(const std::vector<plain_record>& records) {
    built_batch& one = submit(records);
    drain();
    return one;
  }
  /// Polls until nothing is in flight or the log makes no progress any more.
  std::size_t drain(int rounds = 100) {
    std::size_t count = 0;
    for (int i = 0; i < rounds && !log->idle(); ++i)
      count += poll();
    return count;
  }
  std::size_t poll(std::uint64_t pass_us = 1000) {
    now_us += pass_us;
    done.clear();
    log->poll(now_us, done);
    return done.size();
  }

  /// All that a shard's readers get, from an index on.
  std::vector<std::string> read_all(std::uint32_t shard, std::uint64_t from = 0) {
    std::vector<std::string> all;
    record_index at(from);
    while (true) {
      const auto chunk = log->read(shard_index(shard), at, 100'000, 1000);
      EXPECT_TRUE(chunk.ok()) << chunk.failure().message();
      if (!chunk.ok() || chunk->records.empty()) return all;
      for (const stored_record& one : chunk->records) {
        const byte_view data = one.record.data();
        all.emplace_back(reinterpret_cast<const char*>(data.data()), data.size());
      }
      EXPECT_GT(chunk->next, at);
      at = chunk->next;
    }
  }
  /// Every damage that a full scan finds.
  std::vector<damage> verify() {
    std::vector<damage> found;
    const status scanned = log->scan({{}, [&](const damage& one) { found.push_back(one); }});
    EXPECT_TRUE(scanned.ok());
    return found;
  }
  std::string segment(std::uint64_t number) const {
    std::string digits = std::to_string(number);
    return std::string(directory) + "/" + std::string(20 - digits.size(), '0') + digits +
           ".segment";
  }
  std::string index(std::uint64_t number) const {
    const std::string path = segment(number);
    return path.substr(0, path.size() - 8) + ".index";
  }
  /// Where a segment's newest block ends: they follow each other from the data's start on.
  std::uint64_t newest_end(std::uint64_t number) const {
    const std::vector<std::byte> bytes = memory.content(segment(number));
    std::uint64_t at = log_format::snapshot_offset;
    while (at < bytes.size() && !parse_block_header(byte_view(bytes).subspan(at)))
      at += log_format::alignment;
    while (at < bytes.size()) {
      const auto header = parse_block_header(byte_view(bytes).subspan(at));
      if (!header) break;
      at += header->block_bytes;
    }
    return at;
  }
  std::vector<std::string> names() { return *memory.list(directory); }

  log_options options;
  memory_file_system memory;
  fault_plan plan;
  faulty_file_system files;
  std::mt19937_64 random;
  counter_set counters;
  recovery_report report;
  std::unique_ptr<stream_log> log;
  std::vector<std::unique_ptr<built_batch>> batches;
  std::vector<record_batch*> done;
  std::uint64_t wall_us = 1'700'000'000'000'000;
  std::uint64_t now_us = 1'000'000;

 private:
  void die() {
    // The old log is of the time before: what it still does no longer reaches the disk.
    log = nullptr;
    open();
  }
  void open() {
    report = {};
    auto opened = stream_log::open(files, directory, stream_id(7), options, counters, report);
    ASSERT_TRUE(opened.ok()) << opened.failure().message();
    log = *std::move(opened);
  }
};

}  // namespace millrace
