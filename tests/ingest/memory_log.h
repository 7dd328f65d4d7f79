#pragma once
/// A pipeline and its log, in memory, as small as the contract of batch_sink allows: one stream,
/// epochs, order, places; batches become durable after a little while, on a thread of their own.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/record_batch.h"
#include "ingest/result_lookup.h"

namespace millrace::testing_parts {

struct logged_record {
  producer_id producer;
  std::uint64_t number = 0;
  std::string key;
  std::string data;
  record_place place;
};

class memory_log final : public batch_sink, public result_lookup {
 public:
  static constexpr std::uint32_t shards = 4;

  memory_log(std::uint64_t seed, std::uint64_t delay_us_max)
      : random_(seed), delay_us_max_(delay_us_max), thread_([this] { run(); }) {}
  ~memory_log() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  result<stream_target> find_stream(std::string_view name) override {
    if (name != "orders") return error(error_code::not_found, "no such stream");
    return stream_target{stream_id(1), limits::batch_bytes_default};
  }
  bool submit(record_batch& batch) override {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= 8) return false;
    batch.advance(batch_state::filling, batch_state::submitted);
    waiting_.push_back(&batch);
    changed_.notify_all();
    return true;
  }
  bool is_idle(stream_id) const override {
    std::lock_guard lock(mutex_);
    return waiting_.empty();
  }
  bool is_blocked(stream_id) const override { return blocked.load(); }
  std::atomic<bool> blocked{false};

  bool ask(result_query& query) override {
    {
      std::lock_guard lock(mutex_);
      for (std::uint32_t i = 0; i < query.count && knows_places; ++i) {
        const auto found = places_.find({query.producer, query.first.value + i});
        if (found == places_.end()) {
          query.places.clear();
          break;
        }
        query.places.push_back(found->second);
      }
    }
    query.home->answered(query);
    return true;
  }
  std::atomic<bool> knows_places{true};

  std::vector<logged_record> records() const {
    std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  struct state {
    std::uint32_t epoch = 0;
    std::uint64_t next = 0;
  };
  using place_key = std::pair<producer_id, std::uint64_t>;
  struct place_hash {
    std::size_t operator()(const place_key& at) const {
      return std::hash<producer_id>()(at.first) * 31 + at.second;
    }
  };

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      std::uniform_int_distribution<std::uint64_t> delay(0, delay_us_max_);
      const std::uint64_t us = delay(random_);
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::microseconds(us));
      while (blocked.load())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      lock.lock();
      record_batch& batch = *waiting_.front();
      waiting_.pop_front();
      commit(batch);
      batch.advance(batch_state::submitted, batch_state::finished);
      lock.unlock();
      batch.home().finished(batch);
      lock.lock();
    }
  }

  void commit(record_batch& batch) {
    batch.result = outcome::committed;
    batch.arrival_us = 1'700'000'000'000'000 + log_.size();
    std::vector<record_ref> kept;
    std::size_t at = 0;
    std::map<std::uint32_t, std::uint16_t> run_of;
    for (batch_entry& entry : batch.entries) {
      state& known = producers_[entry.producer];
      if (entry.kind == entry_kind::open) {
        entry.epoch = epoch_number(++known.epoch);
        entry.next_record = record_number(known.next);
        entry.result = outcome::committed;
        continue;
      }
      const std::size_t from = at;
      at += entry.record_count;
      if (entry.epoch.value != known.epoch) {
        entry.result = outcome::fenced;
        continue;
      }
      if (entry.first_record.value != known.next) {
        entry.result = outcome::out_of_order;
        continue;
      }
      entry.result = outcome::committed;
      for (std::size_t i = from; i < at; ++i) {
        append(batch, batch.records[i], entry.producer, known.next++, run_of);
        kept.push_back(batch.records[i]);
      }
    }
    batch.records = kept;
  }

  void append(record_batch& batch, const record_ref& ref, producer_id producer,
              std::uint64_t number, std::map<std::uint32_t, std::uint16_t>& run_of) {
    const record_view view = ref.view();
    const byte_view data = view.data();
    logged_record one{.producer = producer,
                      .number = number,
                      .key = std::string(view.key()),
                      .data = std::string(reinterpret_cast<const char*>(data.data()), data.size()),
                      .place = {}};
    const auto shard = static_cast<std::uint32_t>(std::hash<std::string>()(one.key) % shards);
    const auto [known, is_new] =
        run_of.try_emplace(shard, static_cast<std::uint16_t>(batch.runs.size()));
    if (is_new) {
      batch.runs.push_back({.shard = shard_index(shard),
                            .created_s = 100 + shard,
                            .first = record_index(next_index_[shard]),
                            .record_count = 0});
    }
    record_batch::shard_run& run = batch.runs[known->second];
    batch.run.push_back(known->second);
    batch.rank.push_back(run.record_count++);
    one.place = {.index = record_index(next_index_[shard]++),
                 .shard = shard_index(shard),
                 .created_s = 100 + shard,
                 .arrival_s = static_cast<std::uint32_t>(batch.arrival_us / 1'000'000)};
    places_[{producer, number}] = one.place;
    log_.push_back(std::move(one));
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::mt19937_64 random_;
  std::uint64_t delay_us_max_;
  std::deque<record_batch*> waiting_;
  std::unordered_map<producer_id, state> producers_;
  std::unordered_map<place_key, record_place, place_hash> places_;
  std::uint64_t next_index_[shards] = {};
  std::vector<logged_record> log_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::testing_parts
