#include "shards/stream_agent.h"

#include <algorithm>
#include <utility>

#include "shards/retention.h"

namespace millrace {

stream_agent::stream_agent(const stream_description& description, std::shared_ptr<stream_log> log,
                           stream_port& port, const agent_tools& tools)
    : name_(description.name),
      id_(description.id),
      port_(port),
      log_(std::move(log)),
      tools_(tools),
      open_shards_(0),
      table_(std::make_unique<route_table>(description)),
      description_(description),
      open_bytes_(table_->map.size()),
      log_bytes_(log_->bytes()) {
  open_shards_ = table_->map.size();
}

int stream_agent::do_work(const agent_times& now) {
  int work = collect(now.monotonic_us);
  note_blocked();
  work += append_routed(now.wall_us);
  if (held_) {
    answer_hold();
  } else {
    work += start_next(now.wall_us);
  }
  return work;
}

std::uint64_t stream_agent::oldest_us(std::uint64_t now_us) const {
  const record_batch* const oldest = !appended_.empty() ? appended_.front()
                                     : slot_ != nullptr ? slot_->batch()
                                                        : port_.front();
  return oldest == nullptr || oldest->opened_us == 0 ? now_us : oldest->opened_us;
}

int stream_agent::collect(std::uint64_t monotonic_us) {
  done_.clear();
  log_->poll(monotonic_us, done_);
  for (record_batch* const batch : done_) {
    const auto at = std::find(appended_.begin(), appended_.end(), batch);
    MILLRACE_CHECK(at != appended_.end(), "the log gives back what it was given");
    appended_.erase(at);
    end_batch(*batch, outcome::committed);
  }
  if (!done_.empty()) {
    std::lock_guard lock(mutex_);
    note_log_bytes();
  }
  return static_cast<int>(done_.size());
}

int stream_agent::start_next(std::uint64_t wall_us) {
  if (slot_ != nullptr || full_) return 0;
  if (!log_->can_append() || tools_.free_slots.empty()) {
    if (!stalled_ && !port_.is_blocked() && port_.front() != nullptr) {
      tools_.counters.add(counter::pipeline_stalls);
      stalled_ = true;
    }
    return 0;
  }
  record_batch* const batch = port_.pop();
  if (batch == nullptr) return 0;
  stalled_ = false;
  tools_.counters.add(counter::batches_submitted);
  log_->admit(*batch, wall_us);
  if (batch->records.empty()) {
    batch->runs.clear();
    append(*batch, {}, wall_us);
    return 1;
  }
  slot_ = tools_.free_slots.back();
  tools_.free_slots.pop_back();
  slot_->begin(*batch, *table_, tools_.keep_on_device);
  const bool taken = tools_.compute.submit(slot_->job());
  MILLRACE_CHECK(taken, "there are no more route slots than jobs a backend holds");
  routed_ = false;
  append_routed(wall_us);
  return 1;
}

int stream_agent::append_routed(std::uint64_t wall_us) {
  if (slot_ == nullptr) return 0;
  if (!routed_) {
    if (!tools_.compute.poll(slot_->job())) return 0;
    routed_ = true;
    slot_->finish();
    tools_.counters.add(counter::records_routed, slot_->batch()->records.size());
  }
  // A write that failed meanwhile may have blocked the log since the batch was taken.
  if (!log_->can_append()) return 0;
  append(*slot_->batch(), slot_->order(), wall_us);
  {
    std::lock_guard lock(mutex_);
    const std::span<const std::uint64_t> bytes = slot_->shard_bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i)
      open_bytes_[i] += bytes[i];
    log_bytes_ = log_->bytes();
    full_ = is_full(description_.retention, log_bytes_);
  }
  slot_->clear();
  tools_.free_slots.push_back(std::exchange(slot_, nullptr));
  return 1;
}

void stream_agent::append(record_batch& batch, std::span<const record_ref> order,
                          std::uint64_t wall_us) {
  appended_.push_back(&batch);
  log_->append(batch, order, wall_us);
}

void stream_agent::end_batch(record_batch& batch, outcome what) {
  if (what != outcome::committed) tools_.counters.add(counter::batches_refused);
  batch.result = what;
  for (batch_entry& entry : batch.entries) {
    // What admission refused, or the log committed, stays as it is.
    const bool open = entry.result == outcome::pending || entry.result == outcome::shutting_down;
    if (open) entry.result = what;
  }
  port_.ended();  // before the door has it, which may ask at once whether we are idle
  batch.advance(batch_state::submitted, batch_state::finished);
  batch.home().finished(batch);
}

void stream_agent::note_log_bytes() {
  log_bytes_ = log_->bytes();
  full_ = is_full(description_.retention, log_bytes_);
}

void stream_agent::note_blocked() {
  const std::optional<error> trouble = log_->blocked();
  const bool is_blocked = trouble.has_value() || full_;
  if (!is_blocked && !port_.is_blocked()) return;
  std::lock_guard lock(mutex_);
  blocked_ = trouble.has_value() ? trouble->message()
             : full_             ? full_reason(description_.retention)
                                 : std::string();
  port_.set_blocked(is_blocked);
}

void stream_agent::hold(std::promise<status> quiet) {
  held_ = true;
  quiet_.emplace(std::move(quiet));
}

void stream_agent::release() {
  held_ = false;
  quiet_.reset();
}

void stream_agent::answer_hold() {
  if (!quiet_.has_value()) return;
  if (slot_ == nullptr && appended_.empty()) {
    quiet_->set_value({});
  } else if (port_.is_blocked()) {
    std::lock_guard lock(mutex_);
    quiet_->set_value(error(error_code::unavailable,
                            "stream '" + name_ + "' cannot be written now: " + blocked_));
  } else {
    return;
  }
  quiet_.reset();
}

void stream_agent::install(const stream_description& description) {
  MILLRACE_CHECK(held_ && slot_ == nullptr && appended_.empty(), "shards change between batches");
  auto table = std::make_unique<route_table>(description);
  std::unordered_map<shard_index, std::uint64_t> known = closed_bytes_;
  for (std::uint32_t i = 0; i < table_->map.size(); ++i) {
    known[table_->map.shard(shard_ordinal(static_cast<std::uint16_t>(i)))] = open_bytes_[i];
  }
  std::vector<std::uint64_t> open(table->map.size());
  for (std::uint32_t i = 0; i < table->map.size(); ++i) {
    const auto kept = known.extract(table->map.shard(shard_ordinal(static_cast<std::uint16_t>(i))));
    if (!kept.empty()) open[i] = kept.mapped();
  }
  std::lock_guard lock(mutex_);
  description_ = description;
  shared_description_.reset();
  open_bytes_ = std::move(open);
  closed_bytes_ = std::move(known);
  table_ = std::move(table);
  open_shards_ = table_->map.size();
}

void stream_agent::abandon(outcome why) {
  held_ = true;
  port_.close(why);
  done_.clear();
  log_->abandon(done_);
  appended_.clear();
  if (slot_ != nullptr) {
    while (!routed_ && !tools_.compute.poll(slot_->job())) {
      // The backend still reads the batch's records; it is done in microseconds.
    }
    done_.push_back(slot_->batch());
    slot_->clear();
    tools_.free_slots.push_back(std::exchange(slot_, nullptr));
  }
  while (record_batch* const waiting = port_.pop())
    done_.push_back(waiting);
  for (record_batch* const batch : done_)
    end_batch(*batch, why);
  port_.set_blocked(false);
}

std::vector<shard_index> stream_agent::tend(std::uint64_t wall_us, std::uint64_t hour_us) {
  if (held_) return {};
  std::lock_guard lock(mutex_);
  const drop_limits limits = limits_of(description_.retention, wall_us, hour_us);
  log_->drop_segments(limits.before_us, limits.bytes_max);
  note_log_bytes();
  return expired_shards(description_, *log_, limits.before_us);
}

void stream_agent::forget_shards(const std::vector<shard_index>& expired) {
  log_->forget_shards(expired);
  std::lock_guard lock(mutex_);
  shared_description_.reset();
  std::erase_if(description_.shards, [&](const shard_info& shard) {
    return std::binary_search(expired.begin(), expired.end(), shard.shard);
  });
  for (const shard_index shard : expired)
    closed_bytes_.erase(shard);
}

stream_description stream_agent::description() const {
  std::lock_guard lock(mutex_);
  return description_;
}

std::shared_ptr<const stream_description> stream_agent::shared_description() const {
  std::lock_guard lock(mutex_);
  if (!shared_description_)
    shared_description_ = std::make_shared<const stream_description>(description_);
  return shared_description_;
}

void stream_agent::set_retention(const retention_policy& retention) {
  std::lock_guard lock(mutex_);
  description_.retention = retention;
  shared_description_.reset();
}

stream_status stream_agent::describe() const {
  std::lock_guard lock(mutex_);
  stream_status found{.description = description_,
                      .log_bytes = log_bytes_,
                      .shard_records = {},
                      .shard_bytes = {},
                      .blocked = blocked_};
  std::unordered_map<shard_index, std::uint64_t> bytes = closed_bytes_;
  for (std::uint32_t i = 0; i < table_->map.size(); ++i) {
    bytes[table_->map.shard(shard_ordinal(static_cast<std::uint16_t>(i)))] = open_bytes_[i];
  }
  for (const shard_info& shard : description_.shards) {
    found.shard_records.push_back(log_->durable_end(shard.shard).value);
    const auto of_shard = bytes.find(shard.shard);
    found.shard_bytes.push_back(of_shard == bytes.end() ? 0 : of_shard->second);
  }
  return found;
}

}  // namespace millrace
