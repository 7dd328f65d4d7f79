#include "analytics/view_keeper.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "analytics/plan_text.h"
#include "analytics/rows_codec.h"
#include "base/limits.h"
#include "gpu/window_math.h"

namespace millrace {
namespace {

view_status first_status(const view_plan& plan) {
  view_status status;
  status.plan = plan;
  return status;
}

/// Sums, into what is there.
void add(fold_counts& to, const fold_counts& more) {
  to.folded += more.folded;
  to.filtered += more.filtered;
  to.late += more.late;
  to.no_time += more.no_time;
  to.future += more.future;
  to.nulls += more.nulls;
  to.left_out += more.left_out;
}

}  // namespace

view_keeper::view_keeper(view_plan plan, std::unique_ptr<view_store> store,
                         std::uint64_t rows_kept_bytes)
    : plan_(std::move(plan)),
      definition_(plan_text(plan_)),
      store_(std::move(store)),
      rows_kept_bytes_(rows_kept_bytes),
      feed_(first_status(plan_)),
      clock_(plan_.delay_us, plan_.idle_us) {}

// --- start ---------------------------------------------------------------------------------------

status view_keeper::adopt(std::uint32_t stream) {
  MILLRACE_ASSIGN(const std::optional<view_identity> found, store_->identity());
  const view_identity wanted{stream, definition_};
  stream_ = stream;
  stored_ordinal_ = store_->next_ordinal();
  if (found == wanted) return {};
  if (!found) return start_over("");
  return start_over(found->stream != stream ? "the stream is another one now"
                                            : "its plan has changed: " +
                                                  plan_difference(found->definition, definition_));
}

status view_keeper::start_over(const std::string& why) {
  // It goes with the rest.
  [[maybe_unused]] const status ended = end_write(true);
  const std::uint64_t stored = store_->next_ordinal();
  MILLRACE_TRY(store_->reset({stream_, definition_}));
  if (!why.empty()) {
    notice_ = "computed anew from the oldest record of stream '" + plan_.stream + "', for " + why +
              "; the rows of " + std::to_string(stored) + " emissions were dropped";
  }
  view_checkpoint empty;
  empty.progress.next_ordinal = stored;
  store_write first;
  first.checkpoint = &empty;
  MILLRACE_ASSIGN([[maybe_unused]] const std::uint64_t dropped, store_->write(first));
  return {};
}

result<std::vector<std::byte>> view_keeper::restore() {
  // Whatever came of it: the store says how far it is.
  [[maybe_unused]] const status ended = end_write(true);
  MILLRACE_ASSIGN(view_checkpoint from, store_->load());
  MILLRACE_ASSIGN(std::vector<journal_batch> journal, store_->journal());
  const view_progress& progress = from.progress;
  at_ = progress.at;
  clock_.restore(progress.clock);
  counts_ = progress.counts;
  missing_ = progress.missing;
  next_ordinal_ = progress.next_ordinal;
  closed_rows_ = progress.closed_rows;
  late_ordinal_ = progress.late_ordinal;
  closed_to_us_ = progress.closed_to_us;
  journal_.assign(std::make_move_iterator(journal.begin()), std::make_move_iterator(journal.end()));
  pending_ = {};
  pending_bytes_ = 0;
  changed_ = false;
  stored_ordinal_ = store_->next_ordinal();
  return std::move(from.fold);
}

// --- a block -------------------------------------------------------------------------------------

void view_keeper::begin_block(std::span<const block_run> runs, fold_job::view_part& part) {
  clocks_.resize(runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i)
    clocks_[i] = clock_.begin_run(runs[i].shard);
  part.clocks = clocks_;
  part.counts = {};
  part.late.clear();
}

void view_keeper::end_block(const log_block& block, log_position next, fold_job::view_part& part) {
  for (std::size_t i = 0; i < block.runs.size(); ++i) {
    const block_run& run = block.runs[i];
    const std::uint64_t missing =
        clock_.end_run(run.shard, run.first, run.record_count, clocks_[i], block.arrival_us);
    missing_ += missing;
    tallies_.missing += missing;
  }
  clock_.end_block(block.arrival_us);
  add(counts_, part.counts);
  add(tallies_.counts, part.counts);
  if (!part.late.empty()) {
    note_pending(part.late.size() * sizeof(late_record));
    if (pending_.late.empty()) pending_.first_late = late_ordinal_;
    pending_.late.insert(pending_.late.end(), part.late.begin(), part.late.end());
    late_ordinal_ += part.late.size();
    if (pending_.late.size() > 2 * std::size_t{limits::late_records_kept}) {
      const std::size_t old = pending_.late.size() - limits::late_records_kept;
      pending_.late.erase(pending_.late.begin(),
                          pending_.late.begin() + static_cast<std::ptrdiff_t>(old));
      pending_.first_late += old;
    }
  }
  at_ = next;
  folded_bytes_ += block.record_bytes;
  changed_ = true;
}

// --- decisions -----------------------------------------------------------------------------------

bool view_keeper::take_from_journal(log_position place) {
  if (journal_.empty() || journal_.front().at > place) return false;
  clock_.apply(journal_.front().decisions);
  journal_.pop_front();
  changed_ = true;
  return true;
}

bool view_keeper::decide(log_position place, std::span<const known_shard> shards,
                         std::uint64_t wall_us, std::optional<std::uint64_t> caught_up_us,
                         const fold_size& size) {
  std::vector<clock_decision> decisions = clock_.decide(shards, wall_us, caught_up_us);
  if (decisions.empty() && caught_up_us && size.windows != 0) {
    const auto target_us = clock_.wall_watermark_us(wall_us, *caught_up_us);
    // Time goes on only to close something: the journal stays short.
    if (target_us && passes_end(closed_to_us_, *target_us)) {
      decisions.push_back({.what = clock_decision::kind::wall,
                           .shard = {},
                           .time_us = *target_us,
                           .active_us = 0,
                           .next = {}});
    }
  }
  clock_.forget_closed(shards);
  if (decisions.empty()) return false;
  clock_.apply(decisions);
  note_pending(decisions.size() * sizeof(clock_decision));
  pending_.journal.push_back({place, std::move(decisions)});
  changed_ = true;
  return true;
}

bool view_keeper::passes_end(std::int64_t from_us, std::int64_t to_us) const {
  if (to_us == shard_clock::never || to_us <= from_us) return false;
  if (from_us == shard_clock::never || plan_.window.kind == window_kind::session) return true;
  const window_plan& grid = plan_.window;
  return pane_start(to_us, grid.hop_us, grid.offset_us) >
         pane_start(from_us, grid.hop_us, grid.offset_us);
}

bool view_keeper::must_close(const fold_size& size) const {
  return size.windows != 0 && passes_end(closed_to_us_, clock_.watermark_us());
}

status view_keeper::close(window_fold& fold, std::uint32_t view) {
  auto rows = std::make_shared<window_rows>();
  MILLRACE_TRY(fold.close(view, clock_.watermark_us(), *rows));
  closed_to_us_ = clock_.watermark_us();
  if (!rows->rows.empty()) emit(std::move(rows));
  return {};
}

void view_keeper::emit(std::shared_ptr<window_rows> rows) {
  const std::uint64_t ordinal = next_ordinal_++;
  closed_rows_ += rows->rows.size();
  if (ordinal < stored_ordinal_) {
    compare(ordinal, *rows);
    return;
  }
  ++tallies_.emissions;
  tallies_.rows += rows->rows.size();
  note_pending(rows_bytes(*rows));
  pending_.emissions.push_back({ordinal, clock_.watermark_us(), std::move(rows)});
}

/// Rows that readers may have seen are not written again; but they should be the same.
void view_keeper::compare(std::uint64_t ordinal, const window_rows& rows) {
  // The store has one writer at a time.
  if (!end_write(true).ok()) return;
  const auto stored = store_->find(ordinal);
  if (!stored.ok() || !stored->has_value()) return;  // it was old enough to go
  const stored_emission& before = **stored;
  if (before.watermark_us == clock_.watermark_us() && before.row_count == rows.rows.size() &&
      before.digest == rows_digest(rows)) {
    return;
  }
  ++tallies_.differences;
  notice_ = "emission " + std::to_string(ordinal) +
            " was computed again and differs from what was stored, which stays: the log has lost "
            "records since";
}

// --- the store -----------------------------------------------------------------------------------

void view_keeper::note_pending(std::uint64_t bytes) {
  if (pending_.empty()) pending_since_us_ = now_us_;
  pending_bytes_ += bytes;
}

/// What is collected becomes what is being written.
void view_keeper::prepare_write(std::optional<std::vector<std::byte>> fold) {
  writing_ = std::exchange(pending_, {});
  writing_bytes_ = std::exchange(pending_bytes_, 0);
  writing_since_us_ = pending_since_us_;
  writing_.rows_kept_bytes = rows_kept_bytes_;
  writing_checkpoint_.reset();
  if (!fold) return;
  writing_checkpoint_.emplace();
  writing_checkpoint_->fold = *std::move(fold);
  writing_checkpoint_->progress = {at_,           clock_.save(), counts_,       missing_,
                                   next_ordinal_, closed_rows_,  late_ordinal_, closed_to_us_};
  writing_.checkpoint = &*writing_checkpoint_;
  changed_ = false;
}

status view_keeper::write(std::optional<std::vector<std::byte>> fold) {
  MILLRACE_TRY(end_write(true));
  prepare_write(std::move(fold));
  return take_written(store_->write(writing_));
}

void view_keeper::start_write(store_writer& by, std::optional<std::vector<std::byte>> fold) {
  MILLRACE_CHECK(!is_writing(), "one write at a time");
  prepare_write(std::move(fold));
  write_ = by.run([this] { return store_->write(writing_); });
}

status view_keeper::end_write(bool wait) {
  if (!is_writing()) return {};
  if (!wait && write_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return {};
  return take_written(write_.get());
}

status view_keeper::take_written(result<std::uint64_t> written) {
  if (!written.ok()) {
    ++tallies_.store_errors;
    put_back();
    return std::move(written).failure();
  }
  if (writing_checkpoint_) ++tallies_.checkpoints;
  tallies_.rows_bytes_dropped += *written;
  stored_ordinal_ = store_->next_ordinal();
  feed_.push(std::move(writing_.emissions), limits::view_feed_bytes_max);
  writing_ = {};
  writing_checkpoint_.reset();
  return {};
}

/// Before what was collected since.
void view_keeper::put_back() {
  if (writing_checkpoint_) changed_ = true;
  writing_checkpoint_.reset();
  writing_.checkpoint = nullptr;
  const auto join = [](auto& first, auto& then) {
    first.insert(first.end(), std::make_move_iterator(then.begin()),
                 std::make_move_iterator(then.end()));
  };
  join(writing_.journal, pending_.journal);
  join(writing_.emissions, pending_.emissions);
  if (writing_.late.empty()) writing_.first_late = pending_.first_late;
  join(writing_.late, pending_.late);
  pending_ = std::exchange(writing_, {});
  pending_bytes_ += writing_bytes_;
  pending_since_us_ = writing_since_us_;
}

void view_keeper::publish(const std::string& backend, const std::string& fault,
                          const fold_size& size, std::uint64_t behind_us,
                          std::uint64_t behind_bytes) {
  view_status now;
  now.plan = plan_;
  now.backend = backend;
  now.fault = fault.empty() ? notice_ : fault;
  now.watermark_us = clock_.watermark_us();
  now.behind_us = behind_us;
  now.behind_bytes = behind_bytes;
  now.folded_bytes = folded_bytes_;
  now.counts = counts_;
  now.size = size;
  now.closed_rows = closed_rows_;
  now.next_ordinal = stored_ordinal_;
  now.missing = missing_;
  feed_.publish(std::move(now));
}

}  // namespace millrace
