#include "analytics/view_lane.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace millrace {
namespace {

/// Rows wait this long for company, so that a view that catches up writes many at once.
constexpr std::uint64_t write_linger_us = 20'000;
/// A store or a disk that failed is tried again this often.
constexpr std::uint64_t retry_interval_us = 250'000;
/// Then what cannot be read is passed over, and counted.
constexpr std::uint32_t read_failures_max = 40;

}  // namespace

view_lane::view_lane(std::shared_ptr<const stream_log> log, std::vector<view_keeper*> views,
                     std::unique_ptr<window_fold> fold, const checkpoint_policy& policy)
    : log_(std::move(log)),
      blocks_(log_),
      views_(std::move(views)),
      fold_(std::move(fold)),
      policy_(policy),
      place_(views_.front()->at()),
      parts_(views_.size()) {
  for (const view_keeper* const one : views_)
    folded_us_ = std::max(folded_us_, one->clock().save().arrival_us);
}

int view_lane::do_work(const lane_times& now, std::span<const known_shard> shards) {
  if (!shards.empty()) look_.assign(shards.begin(), shards.end());
  if (state_ != state::running || (is_stalled() && now.monotonic_us < retry_us_)) return 0;
  if (!checkpoint_us_) checkpoint_us_ = now.monotonic_us;
  for (view_keeper* const one : views_)
    one->start_round(now.monotonic_us);
  if (folding_) return finish_block();
  if (!write(now, is_stalled())) return 0;
  if (checkpoint_due(now)) {
    const status written = write_checkpoints(now, in_background_);
    if (!written.ok()) stall(written.failure(), now);
  }
  if (!block_ && state_ == state::running && !is_stalled()) read_next(now);
  if (state_ != state::running || is_stalled()) return 0;
  take_decisions(now);
  if (state_ != state::running) return 0;
  if (block_) {
    start_fold();
    return 1 + finish_block();
  }
  write(now, true);
  return 0;
}

// --- blocks --------------------------------------------------------------------------------------

void view_lane::read_next(const lane_times& now) {
  auto step = blocks_.next(place_, read_failures_ >= read_failures_max);
  if (!step.ok()) {
    if (step.failure().code() == error_code::corrupt) {
      lose(state::log_lost, step.failure());
    } else {
      ++read_failures_;
      stall(step.failure(), now);
    }
    return;
  }
  read_failures_ = 0;
  newest_us_ = step->newest_us;
  damaged_.insert(damaged_.end(), std::make_move_iterator(step->damaged.begin()),
                  std::make_move_iterator(step->damaged.end()));
  block_ = std::move(step->block);
  after_block_ = step->next;
  place_ = block_ ? block_->at : step->next;
  caught_up_ = !block_;
  if (caught_up_ && !caught_up_us_) caught_up_us_ = now.wall_us;
}

void view_lane::start_fold() {
  runs_.clear();
  for (const block_run& run : block_->runs)
    runs_.push_back({run.shard, run.first, run.record_count, run.bytes});
  for (std::size_t i = 0; i < views_.size(); ++i)
    views_[i]->begin_block(block_->runs, parts_[i]);
  job_.runs = runs_;
  job_.arrival_us = block_->arrival_us;
  job_.device = block_->device;
  job_.views = parts_;
  const bool taken = fold_->submit(job_);
  MILLRACE_CHECK(taken, "a fold without a job takes one");
  folding_ = true;
}

int view_lane::finish_block() {
  const auto done = fold_->poll(job_);
  if (!done.ok()) {
    lose(state::fold_lost, done.failure());
    return 0;
  }
  if (!*done) return 0;
  folding_ = false;
  for (std::size_t i = 0; i < views_.size(); ++i)
    views_[i]->end_block(*block_, after_block_, parts_[i]);
  bytes_since_checkpoint_ += block_->record_bytes;
  folded_us_ = block_->arrival_us;
  place_ = after_block_;
  block_.reset();
  for (std::size_t i = 0; i < views_.size(); ++i)
    close_passed(i);
  return 1;
}

// --- time ----------------------------------------------------------------------------------------

void view_lane::take_decisions(const lane_times& now) {
  for (std::size_t i = 0; i < views_.size(); ++i) {
    view_keeper& one = *views_[i];
    while (one.take_from_journal(place_))
      close_passed(i);
    if (look_.empty() || one.is_replaying() || state_ != state::running) continue;
    const auto caught_up_us = block_ ? std::nullopt : caught_up_us_;
    if (one.decide(place_, look_, now.wall_us, caught_up_us,
                   fold_->size(static_cast<std::uint32_t>(i)))) {
      close_passed(i);
    }
  }
  look_.clear();
}

void view_lane::close_passed(std::size_t view) {
  const auto number = static_cast<std::uint32_t>(view);
  if (state_ != state::running || !views_[view]->must_close(fold_->size(number))) return;
  const status closed = views_[view]->close(*fold_, number);
  if (!closed.ok()) lose(state::fold_lost, closed.failure());
}

// --- stores --------------------------------------------------------------------------------------

bool view_lane::write(const lane_times& now, bool all) {
  for (view_keeper* const one : views_) {
    // What was under way counts as failed or written before anything more is.
    status ended = one->end_write(false);
    if (ended.ok() && one->is_writing()) {
      if (one->pending_bytes() < limits::view_pending_bytes_max) continue;
      ended = one->end_write(true);
    }
    const bool is_due = all || one->pending_bytes() >= limits::view_pending_bytes_max ||
                        now.monotonic_us >= one->pending_since_us() + write_linger_us;
    if (ended.ok() && one->has_pending() && is_due) {
      if (in_background_) {
        one->start_write(writer_, std::nullopt);
      } else {
        ended = one->write(std::nullopt);
      }
    }
    if (ended.ok()) continue;
    stall(ended.failure(), now);
    return false;
  }
  stalled_.clear();
  return true;
}

bool view_lane::is_writing() const {
  return std::any_of(views_.begin(), views_.end(),
                     [](const view_keeper* one) { return one->is_writing(); });
}

bool view_lane::checkpoint_due(const lane_times& now) const {
  // The journal is cleared by a checkpoint, so all of it must have been repeated.
  const auto is_replaying = [](const view_keeper* one) { return one->is_replaying(); };
  const auto has_changed = [](const view_keeper* one) { return one->changed_since_checkpoint(); };
  if (is_writing()) return false;
  if (std::any_of(views_.begin(), views_.end(), is_replaying)) return false;
  if (std::none_of(views_.begin(), views_.end(), has_changed)) return false;
  return bytes_since_checkpoint_ >= policy_.bytes ||
         now.monotonic_us >= *checkpoint_us_ + policy_.interval_us;
}

/// Of every view that can have one: the journal of one that is replaying stays, and so does the
/// checkpoint that it belongs to. What fails for one does not keep the others from theirs.
status view_lane::write_checkpoints(const lane_times& now, bool in_background) {
  status all;
  for (std::size_t i = 0; i < views_.size(); ++i) {
    if (views_[i]->is_replaying()) continue;
    std::vector<std::byte> bytes;
    status taken = fold_->snapshot(static_cast<std::uint32_t>(i), bytes);
    if (!taken.ok()) {
      lose(state::fold_lost, taken.failure());
      return {};
    }
    if (in_background) {
      views_[i]->start_write(writer_, std::move(bytes));
      continue;
    }
    status written = views_[i]->write(std::move(bytes));
    if (!written.ok() && all.ok()) all = std::move(written);
  }
  if (!all.ok()) return all;
  checkpoint_us_ = now.monotonic_us;
  bytes_since_checkpoint_ = 0;
  return {};
}

status view_lane::finish(const lane_times& now) {
  while (folding_ && state_ == state::running)
    finish_block();
  for (view_keeper* const one : views_) {
    // What was not written is written with the checkpoint.
    [[maybe_unused]] const status ended = one->end_write(true);
  }
  if (state_ != state::running) return {};
  return write_checkpoints(now, false);
}

// --- faults --------------------------------------------------------------------------------------

void view_lane::stall(const error& why, const lane_times& now) {
  stalled_ = why.message();
  retry_us_ = now.monotonic_us + retry_interval_us;
}

void view_lane::lose(state what, const error& why) {
  if (state_ != state::running) return;
  state_ = what;
  why_ = why.message();
  folding_ = false;
}

void view_lane::publish() {
  const std::string backend = fold_->describe();
  const std::uint64_t behind_us =
      caught_up_ || newest_us_ <= folded_us_ ? 0 : newest_us_ - folded_us_;
  const std::uint64_t behind_bytes = log_->bytes_after(place_);
  for (std::size_t i = 0; i < views_.size(); ++i) {
    views_[i]->publish(backend, stalled_, fold_->size(static_cast<std::uint32_t>(i)), behind_us,
                       behind_bytes);
  }
}

}  // namespace millrace
