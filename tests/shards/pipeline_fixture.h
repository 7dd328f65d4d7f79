#pragma once
/// A pipeline over a directory of its own, doors that fill batches, and a reader that follows the
/// lineage of shards and checks every record: so that a test reads as a story.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/record_batch.h"
#include "shards/pipeline.h"
#include "temporary_directory.h"

namespace millrace {

/// The hash key of a partition key by OpenSSL's MD5: what the pipeline must agree with.
uint128 naive_hash_key(std::string_view key);

/// Fills batches and takes them back. The data of a record is its key's running number, so that a
/// reader can tell loss, repetition and disorder. Batches and their bytes live as long as the door.
class test_door final : public batch_home {
 public:
  explicit test_door(std::uint32_t seed, std::uint32_t keys = 100) : random_(seed), keys_(keys) {}

  /// A batch in state `filling` with `records` raw records of random keys (a few with explicit hash
  /// keys) and some bytes of padding each.
  record_batch& fill(stream_id stream, std::uint32_t records, std::uint32_t padding = 20);
  /// An empty batch in state `filling`.
  record_batch& empty(stream_id stream);
  /// Adds one record and nothing else.
  void add_record(record_batch& to, const std::string& key, const std::string& data,
                  const uint128* hash_key = nullptr);

  void finished(record_batch& batch) override;
  std::size_t finished_count() const;
  /// In the order they came back.
  std::vector<record_batch*> finished_batches() const;
  /// Waits until that many have come back from a running pipeline.
  void wait_for(std::size_t count);

  /// How many records of each key were put into batches.
  const std::map<std::string, std::uint64_t>& written() const { return next_of_; }
  void set_prefix(const std::string& prefix) { prefix_ = prefix; }

 private:
  std::mt19937 random_;
  std::uint32_t keys_;
  std::string prefix_ = "key";
  std::map<std::string, std::uint64_t> next_of_;
  std::deque<record_batch> batches_;
  std::deque<std::vector<std::byte>> bytes_;
  mutable std::mutex mutex_;
  std::condition_variable came_back_;
  std::vector<record_batch*> finished_;
};

class pipeline_fixture : public testing::Test {
 protected:
  pipeline_fixture();
  ~pipeline_fixture() override;

  /// Opens (again) the pipeline over the fixture's directory.
  void open();
  void close();
  void reopen() {
    close();
    open();
  }
  stream_id create(const std::string& name, std::uint32_t shards,
                   const retention_policy& retention = {});
  /// do_work() until `door` has `count` batches back; fails the test after a long while.
  void pump(const test_door& door, std::size_t count);
  template <class Condition>
  void pump_until(Condition condition);
  void submit(record_batch& batch) { ASSERT_TRUE(line_->submit(batch)); }

  /// A copy: what describe() returns is gone before a loop over it starts.
  std::vector<shard_info> shards_of(const std::string& stream);
  std::vector<stored_record> read_shard(const stream_log& log, shard_index shard);
  /// Reads every shard, parents before children, and expects each of the keys' records once, in
  /// order, in the shard that owns its hash key.
  void expect_all_in_order(const std::string& stream,
                           const std::map<std::string, std::uint64_t>& written);

  temporary_directory directory_;
  pipeline_options options_;
  std::vector<recovered_stream> recovered_;
  std::unique_ptr<pipeline> line_;
  std::vector<std::shared_ptr<const void>> kept_;  // what records that were read point into
};

template <class Condition>
void pipeline_fixture::pump_until(Condition condition) {
  for (std::uint64_t i = 0; i < 60'000'000 && !condition(); ++i)
    line_->do_work();
  ASSERT_TRUE(condition());
}

}  // namespace millrace
