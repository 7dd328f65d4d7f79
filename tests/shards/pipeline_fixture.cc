#include "pipeline_fixture.h"

#include <chrono>
#include <cstdlib>

#include <openssl/evp.h>

#include "base/record_format.h"

namespace millrace {

uint128 naive_hash_key(std::string_view key) {
  unsigned char digest[16];
  unsigned int length = 0;
  EVP_Digest(key.data(), key.size(), digest, &length, EVP_md5(), nullptr);
  uint128 value = 0;
  for (const unsigned char byte : digest)
    value = (value << 8) | byte;
  return value;
}

// --- door ----------------------------------------------------------------------------------------

record_batch& test_door::empty(stream_id stream) {
  record_batch& batch = batches_.emplace_back(*this);
  batch.advance(batch_state::idle, batch_state::filling);
  batch.stream = stream;
  batch.opened_us = 1;
  return batch;
}

void test_door::add_record(record_batch& to, const std::string& key, const std::string& data,
                           const uint128* hash_key) {
  auto& bytes = bytes_.emplace_back(record_stride(key.size(), data.size(), hash_key != nullptr));
  write_record(bytes.data(), key, std::as_bytes(std::span(data)), hash_key);
  const record_view view(bytes.data());
  to.records.push_back(
      {.bytes = bytes.data(),
       .stride = view.stride(),
       .key_bytes = static_cast<std::uint16_t>(key.size()),
       .flags = static_cast<std::uint8_t>(hash_key != nullptr ? record_has_hash_key : 0),
       .reserved = 0});
  to.record_bytes += view.stride();
}

record_batch& test_door::fill(stream_id stream, std::uint32_t records, std::uint32_t padding) {
  record_batch& batch = empty(stream);
  for (std::uint32_t i = 0; i < records; ++i) {
    const std::uint32_t number = random_() % keys_;
    const std::string key = prefix_ + std::to_string(number);
    // Every tenth key has an explicit hash key, always the same, so that its order is defined too.
    const uint128 hash_key = naive_hash_key("explicit " + key);
    add_record(batch, key, std::to_string(next_of_[key]++) + " " + std::string(padding, '.'),
               number % 10 == 0 ? &hash_key : nullptr);
  }
  batch_entry all;
  all.record_count = records;
  batch.entries.push_back(all);
  return batch;
}

void test_door::finished(record_batch& batch) {
  std::lock_guard lock(mutex_);
  EXPECT_EQ(batch.state(), batch_state::finished);
  finished_.push_back(&batch);
  came_back_.notify_all();
}

std::size_t test_door::finished_count() const {
  std::lock_guard lock(mutex_);
  return finished_.size();
}

std::vector<record_batch*> test_door::finished_batches() const {
  std::lock_guard lock(mutex_);
  return finished_;
}

void test_door::wait_for(std::size_t count) {
  std::unique_lock lock(mutex_);
  ASSERT_TRUE(came_back_.wait_for(lock, std::chrono::seconds(60),
                                  [&] { return finished_.size() >= count; }));
}

// --- fixture -------------------------------------------------------------------------------------

pipeline_fixture::pipeline_fixture() {
  options_.data_directory = directory_.path() + "/data";
  options_.backend = "cpu";
  options_.log.segment_bytes = 64 * limits::mib;
}

pipeline_fixture::~pipeline_fixture() {
  kept_.clear();
}

void pipeline_fixture::open() {
  recovered_.clear();
  auto opened = pipeline::open(options_, recovered_);
  ASSERT_TRUE(opened.ok()) << opened.failure().message();
  line_ = std::move(*opened);
}

void pipeline_fixture::close() {
  line_->stop();
  line_.reset();
}

stream_id pipeline_fixture::create(const std::string& name, std::uint32_t shards,
                                   const retention_policy& retention) {
  auto made = line_->create_stream(name, shards, retention);
  EXPECT_TRUE(made.ok()) << made.failure().message();
  return made.ok() ? made->id : stream_id();
}

void pipeline_fixture::pump(const test_door& door, std::size_t count) {
  pump_until([&] { return door.finished_count() >= count; });
}

std::vector<shard_info> pipeline_fixture::shards_of(const std::string& stream) {
  const auto described = line_->describe(stream);
  EXPECT_TRUE(described.ok()) << described.failure().message();
  return described.ok() ? described->description.shards : std::vector<shard_info>();
}

std::vector<stored_record> pipeline_fixture::read_shard(const stream_log& log, shard_index shard) {
  std::vector<stored_record> all;
  record_index at = log.trim_horizon(shard);
  const record_index end = log.durable_end(shard);
  while (at < end) {
    auto chunk = log.read(shard, at, limits::mib, 1000);
    if (!chunk.ok()) {
      ADD_FAILURE() << chunk.failure().message();
      break;
    }
    for (const stored_record& one : chunk->records) {
      EXPECT_EQ(one.index, at);
      at = one.index.next();
      all.push_back(one);
    }
    kept_.insert(kept_.end(), chunk->keep_alive.begin(), chunk->keep_alive.end());
    if (chunk->records.empty()) {
      ADD_FAILURE() << "no records at " << at.value << " of " << end.value;
      break;
    }
  }
  return all;
}

void pipeline_fixture::expect_all_in_order(const std::string& stream,
                                           const std::map<std::string, std::uint64_t>& written) {
  const auto described = line_->describe(stream);
  ASSERT_TRUE(described.ok()) << described.failure().message();
  const auto log = line_->log_of(stream);
  ASSERT_TRUE(log.ok());
  std::map<std::string, std::uint64_t> next;
  std::uint64_t misplaced = 0;
  std::uint64_t out_of_order = 0;
  // A child's index is above its parents', so this order follows the lineage.
  for (const shard_info& shard : described->description.shards) {
    for (const stored_record& one : read_shard(**log, shard.shard)) {
      const uint128 hash_key =
          one.record.has_hash_key() ? one.record.hash_key() : naive_hash_key(one.record.key());
      misplaced += hash_key < shard.hash_first || hash_key > shard.hash_last ? 1 : 0;
      const auto* text = reinterpret_cast<const char*>(one.record.data().data());
      const std::uint64_t number = std::strtoull(text, nullptr, 10);
      out_of_order += number == next[std::string(one.record.key())]++ ? 0 : 1;
    }
  }
  EXPECT_EQ(misplaced, 0u);
  EXPECT_EQ(out_of_order, 0u);
  EXPECT_EQ(next, written);
}

}  // namespace millrace
