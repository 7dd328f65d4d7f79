#pragma once
/// A batch_sink that commits when told to, keeps what it was given, and can be full, blocked or
/// refuse: what doors are tested against.
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/record_batch.h"

namespace millrace::test {

struct kept_record {
  stream_id stream;
  producer_id producer;
  std::uint64_t number = 0;
  std::string key;
  std::string data;
};

class fake_sink final : public batch_sink {
 public:
  fake_sink() { add_stream("orders"); }

  stream_id add_stream(const std::string& name) {
    std::lock_guard lock(mutex_);
    const stream_id id(static_cast<std::uint32_t>(streams_.size()) + 1);
    streams_[name] = {.id = id, .batch_bytes_max = limits::batch_bytes_default};
    return id;
  }

  // --- batch_sink ---
  result<stream_target> find_stream(std::string_view name) override {
    std::lock_guard lock(mutex_);
    const auto found = streams_.find(std::string(name));
    if (found == streams_.end()) return error(error_code::not_found, "no such stream");
    return found->second;
  }
  [[nodiscard]] bool submit(record_batch& batch) override {
    std::lock_guard lock(mutex_);
    if (is_full) return false;
    batch.advance(batch_state::filling, batch_state::submitted);
    waiting_.push_back(&batch);
    return true;
  }
  bool is_idle(stream_id) const override {
    std::lock_guard lock(mutex_);
    return waiting_.empty();
  }
  bool is_blocked(stream_id) const override { return blocked; }

  // --- verbs ---
  /// Commits the oldest batch, or refuses all its entries with `what`. False when none waits.
  bool commit_one(outcome what = outcome::committed) { return commit(/*newest=*/false, what); }
  /// A log that answers out of order: the newest batch first.
  bool commit_newest() { return commit(/*newest=*/true, outcome::committed); }
  int commit_all() {
    int count = 0;
    while (commit_one())
      ++count;
    return count;
  }
  std::size_t waiting() const {
    std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  std::vector<kept_record> kept() const {
    std::lock_guard lock(mutex_);
    return kept_;
  }

  std::atomic<bool> is_full{false};
  std::atomic<bool> blocked{false};

 private:
  struct producer_now {
    std::uint32_t epoch = 0;
    std::uint64_t next = 0;
  };

  bool commit(bool newest, outcome what) {
    record_batch* batch = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.empty()) return false;
      batch = newest ? waiting_.back() : waiting_.front();
      newest ? waiting_.pop_back() : waiting_.pop_front();
      for (batch_entry& entry : batch->entries)
        decide(*batch, entry, what);
      keep(*batch);
    }
    batch->result = what;
    batch->advance(batch_state::submitted, batch_state::finished);
    batch->home().finished(*batch);
    return true;
  }

  void decide(record_batch& batch, batch_entry& entry, outcome what) {
    producer_now& known = producers_[{batch.stream.value, entry.producer.value}];
    if (what != outcome::committed) {
      entry.result = what;
    } else if (entry.kind == entry_kind::open) {
      entry.epoch = epoch_number(++known.epoch);
      entry.next_record = record_number(known.next);
      entry.result = outcome::committed;
    } else if (entry.kind == entry_kind::raw) {
      entry.result = outcome::committed;
    } else if (entry.epoch.value != known.epoch) {
      entry.result = outcome::fenced;
    } else if (entry.first_record.value != known.next) {
      entry.result = outcome::out_of_order;
    } else {
      known.next += entry.record_count;
      entry.result = outcome::committed;
    }
  }

  /// Takes the records of refused entries out, gives the others a place in one shard.
  void keep(record_batch& batch) {
    std::vector<record_ref> staying;
    std::size_t at = 0;
    for (const batch_entry& entry : batch.entries) {
      for (std::uint32_t i = 0; i < entry.record_count; ++i, ++at) {
        if (entry.result != outcome::committed) continue;
        const record_view view = batch.records[at].view();
        const byte_view data = view.data();
        kept_.push_back({.stream = batch.stream,
                         .producer = entry.producer,
                         .number = entry.first_record.value + i,
                         .key = std::string(view.key()),
                         .data = {reinterpret_cast<const char*>(data.data()), data.size()}});
        batch.run.push_back(0);
        batch.rank.push_back(static_cast<std::uint32_t>(staying.size()));
        staying.push_back(batch.records[at]);
      }
    }
    batch.records = staying;
    batch.arrival_us = 1'700'000'000'000'000;
    const auto count = static_cast<std::uint32_t>(staying.size());
    batch.runs.push_back({.shard = shard_index(7),
                          .created_s = 1'600'000'000,
                          .first = record_index(next_index_),
                          .record_count = count});
    next_index_ += count;
  }

  mutable std::mutex mutex_;
  std::map<std::string, stream_target> streams_;
  std::map<std::pair<std::uint32_t, uint128>, producer_now> producers_;
  std::deque<record_batch*> waiting_;
  std::vector<kept_record> kept_;
  std::uint64_t next_index_ = 0;
};

}  // namespace millrace::test
