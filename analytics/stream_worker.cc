#include "analytics/stream_worker.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"

namespace millrace {
namespace {

/// How often the stream's shards are looked at: a split or merge shows within this time.
constexpr std::uint64_t look_interval_us = 100'000;
/// Looking at many shards takes the log's lock often: so much time for each in between.
constexpr std::uint64_t look_us_per_shard = 20;
/// How often status goes out to readers while there is work.
constexpr std::uint64_t publish_interval_us = 50'000;
/// The thread looks for requests and for its end at least this often.
constexpr std::uint64_t rest_us = 20'000;
/// While a store is being written, whose rows readers wait for.
constexpr std::uint64_t writing_rest_us = 1'000;
constexpr std::uint64_t retry_interval_us = 1'000'000;
constexpr std::chrono::seconds request_patience{10};

}  // namespace

stream_worker::stream_worker(pipeline& streams, settings wanted,
                             std::vector<std::unique_ptr<view_keeper>> views,
                             shared_counters& counters)
    : streams_(streams),
      settings_(std::move(wanted)),
      counters_(counters),
      views_(std::move(views)) {}

stream_worker::~stream_worker() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

result<std::unique_ptr<stream_worker>> stream_worker::open(
    pipeline& streams, settings wanted, std::vector<std::unique_ptr<view_keeper>> views,
    shared_counters& counters) {
  std::unique_ptr<stream_worker> made(
      new stream_worker(streams, std::move(wanted), std::move(views), counters));
  MILLRACE_ASSIGN(made->log_, streams.log_of(made->settings_.stream));
  made->log_->keep_in_memory(limits::view_hot_tail_bytes);
  MILLRACE_ASSIGN(const stream_status found, streams.describe(made->settings_.stream));
  made->stream_id_ = found.description.id.value;
  std::vector<view_keeper*> all;
  for (const auto& one : made->views_)
    all.push_back(one.get());
  MILLRACE_TRY(made->make_lanes(std::move(all)));
  made->publish({}, true);
  return made;
}

// --- lanes ---------------------------------------------------------------------------------------

/// Restores the views and puts those that are at the same place together.
status stream_worker::make_lanes(std::vector<view_keeper*> views) {
  std::vector<std::vector<std::byte>> folds;
  status restored = restore_all(views, folds);
  std::map<log_position, std::vector<std::size_t>> places;
  for (std::size_t i = 0; i < folds.size(); ++i)
    places[views[i]->at()].push_back(i);
  for (const auto& [place, members] : places) {
    if (!restored.ok()) break;
    std::vector<view_keeper*> together;
    std::vector<std::vector<std::byte>> states;
    for (const std::size_t i : members) {
      together.push_back(views[i]);
      states.push_back(std::move(folds[i]));
    }
    restored = add_lane(together, states);
    for (view_keeper* const one : together) {
      if (restored.ok()) std::erase(views, one);
    }
    if (restored.ok()) continue;
    break;
  }
  if (!restored.ok()) waiting_.insert(waiting_.end(), views.begin(), views.end());
  return restored;
}

status stream_worker::restore_all(std::span<view_keeper* const> views,
                                  std::vector<std::vector<std::byte>>& folds) {
  for (view_keeper* const one : views) {
    auto restored = one->restore();
    if (!restored.ok()) {
      return std::move(restored).failure().with_context("view '" + one->plan().name + "'");
    }
    folds.push_back(*std::move(restored));
  }
  return {};
}

status stream_worker::add_lane(const std::vector<view_keeper*>& views,
                               const std::vector<std::vector<std::byte>>& folds) {
  std::vector<view_plan> plans;
  for (const view_keeper* const one : views)
    plans.push_back(one->plan());
  MILLRACE_ASSIGN(auto fold, settings_.make_fold(settings_.backend, std::move(plans)));
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (folds[i].empty()) continue;
    status restored = fold->restore(static_cast<std::uint32_t>(i), folds[i]);
    if (!restored.ok()) {
      return std::move(restored).failure().with_context("view '" + views[i]->plan().name +
                                                        "': its checkpoint");
    }
  }
  lanes_.push_back(
      std::make_unique<view_lane>(log_, views, std::move(fold), settings_.checkpoints));
  if (in_background_) lanes_.back()->write_in_background();
  return {};
}

/// Lanes that have come to the same place go on as one, with one pass over each record.
void stream_worker::join_lanes(const lane_times& now) {
  if (lanes_.size() < 2 || now.monotonic_us < join_us_) return;
  join_us_ = now.monotonic_us + retry_interval_us;
  const log_position place = lanes_.front()->at();
  for (const auto& lane : lanes_) {
    if (!lane->is_caught_up() || lane->is_stalled() || lane->at() != place) return;
  }
  std::vector<view_keeper*> all;
  for (const auto& lane : lanes_) {
    if (!lane->finish(now).ok() || lane->now() != view_lane::state::running) return;
    all.insert(all.end(), lane->views().begin(), lane->views().end());
  }
  lanes_.clear();
  const status made = make_lanes(std::move(all));
  if (!made.ok()) say(waiting_, made.failure().message());
}

/// Gives the views of lanes that are lost new ones.
void stream_worker::mend(const lane_times& now) {
  for (std::size_t i = 0; i < lanes_.size();) {
    view_lane& lane = *lanes_[i];
    if (lane.now() == view_lane::state::running) {
      ++i;
      continue;
    }
    for (view_keeper* const one : lane.views()) {
      if (lane.now() == view_lane::state::fold_lost) {
        one->set_notice(lane.fold().describe() + " failed: " + lane.why() +
                        "; restored from the last checkpoint, on the CPU");
      } else {
        // When it cannot be written, restore() finds the same and the lane is lost once more.
        [[maybe_unused]] const status dropped = one->start_over(lane.why());
      }
      waiting_.push_back(one);
    }
    if (lane.now() == view_lane::state::fold_lost) {
      settings_.backend = "cpu";
      std::lock_guard lock(counters_.mutex);
      counters_.set.add(counter::view_backend_faults);
    }
    lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (waiting_.empty() || now.monotonic_us < retry_us_) return;
  retry_us_ = now.monotonic_us + retry_interval_us;
  const status made = make_lanes(std::exchange(waiting_, {}));
  if (!made.ok()) say(waiting_, made.failure().message());
}

// --- a round -------------------------------------------------------------------------------------

int stream_worker::do_work(const lane_times& now) {
  take_requests();
  if (deleted_) return 0;
  const bool has_looked = now.monotonic_us >= look_us_ && look_at_shards(now);
  if (deleted_) return 0;
  int work = 0;
  for (const auto& lane : lanes_)
    work += lane->do_work(
        now, has_looked ? std::span<const known_shard>(shards_) : std::span<const known_shard>());
  mend(now);
  join_lanes(now);
  publish(now, work == 0);
  count();
  return work;
}

/// True: shards_ is new.
bool stream_worker::look_at_shards(const lane_times& now) {
  look_us_ = now.monotonic_us + std::max(look_interval_us, shards_.size() * look_us_per_shard);
  const auto found = streams_.describe(settings_.stream);
  const bool gone = found.ok() ? found->description.id.value != stream_id_
                               : found.failure().code() == error_code::not_found;
  if (gone) {
    deleted_ = true;
    for (const auto& one : views_) {
      view_status last = one->feed().status();
      last.fault = "stream '" + settings_.stream + "' was deleted";
      one->feed().publish(std::move(last));
    }
    return false;
  }
  if (!found.ok()) return false;
  shards_.clear();
  for (const shard_info& one : found->description.shards) {
    // Of an open shard only the start matters, when it enters.
    shards_.push_back({one.shard, one.parent, one.adjacent_parent, one.is_open(),
                       log_->trim_horizon(one.shard), log_->durable_end(one.shard)});
  }
  return true;
}

void stream_worker::take_requests() {
  std::vector<open_request> taken;
  {
    std::lock_guard lock(mutex_);
    taken.swap(requests_);
  }
  if (taken.empty()) return;
  std::erase_if(taken, [this](const open_request& one) {
    const auto to = one.to.lock();
    return to == nullptr || answer(one, *to);
  });
  std::lock_guard lock(mutex_);
  requests_.insert(requests_.begin(), taken.begin(), taken.end());
}

/// False: the view's lane is in the middle of a block. One that is folded on a device ends in a
/// later round; the next one does not begin before requests have been taken once more.
bool stream_worker::answer(const open_request& one, std::promise<result<window_rows>>& to) {
  for (const auto& lane : lanes_) {
    const auto at = std::ranges::find(lane->views(), one.view);
    if (at == lane->views().end()) continue;
    if (!lane->is_between_blocks()) {
      if (!ending_ && !deleted_) return false;
      break;
    }
    window_rows rows;
    const auto number = static_cast<std::uint32_t>(at - lane->views().begin());
    status read = lane->fold().read_open(number, one.range, rows);
    to.set_value(read.ok() ? result<window_rows>(std::move(rows))
                           : result<window_rows>(std::move(read).failure()));
    return true;
  }
  to.set_value(
      error(error_code::unavailable, "view '" + one.view->plan().name + "' is not running now"));
  return true;
}

result<window_rows> stream_worker::read_open(const view_keeper& view, const open_range& range) {
  const auto promise = std::make_shared<std::promise<result<window_rows>>>();
  std::future<result<window_rows>> future = promise->get_future();
  {
    std::lock_guard lock(mutex_);
    if (!takes_requests_) {
      return error(error_code::unavailable, "views are not running");
    }
    requests_.push_back({&view, range, promise});
  }
  if (future.wait_for(request_patience) != std::future_status::ready) {
    return error(error_code::timed_out, "view '" + view.plan().name + "' is busy");
  }
  return future.get();
}

// --- telling -------------------------------------------------------------------------------------

void stream_worker::say(std::span<view_keeper* const> views, const std::string& fault) {
  for (view_keeper* const one : views)
    one->publish(settings_.backend, fault, {}, 0, 0);
}

void stream_worker::publish(const lane_times& now, bool at_once) {
  if (!at_once && now.monotonic_us < publish_us_) return;
  // A lane that is in the middle of a block has its turn in the next round: under load the clock
  // runs out while a block is folded, so it would be passed over again and again.
  bool all = true;
  for (const auto& lane : lanes_) {
    all = all && lane->is_between_blocks();
    if (lane->is_between_blocks()) lane->publish();
  }
  if (all) publish_us_ = now.monotonic_us + publish_interval_us;
}

void stream_worker::count() {
  std::lock_guard lock(counters_.mutex);
  counter_set& to = counters_.set;
  for (const auto& one : views_) {
    const view_tallies more = std::exchange(one->tallies(), {});
    to.add(counter::view_records_folded, more.counts.folded);
    to.add(counter::view_records_filtered, more.counts.filtered);
    to.add(counter::view_records_late, more.counts.late);
    to.add(counter::view_records_no_time, more.counts.no_time);
    to.add(counter::view_records_future, more.counts.future);
    to.add(counter::view_records_left_out, more.counts.left_out);
    to.add(counter::view_records_missing, more.missing);
    to.add(counter::view_fields_null, more.counts.nulls);
    to.add(counter::view_emissions, more.emissions);
    to.add(counter::view_rows_closed, more.rows);
    to.add(counter::view_row_bytes_dropped, more.rows_bytes_dropped);
    to.add(counter::view_checkpoints, more.checkpoints);
    to.add(counter::view_store_errors, more.store_errors);
    to.add(counter::view_differences, more.differences);
  }
}

// --- the thread ----------------------------------------------------------------------------------

void stream_worker::start() {
  std::lock_guard lock(mutex_);
  if (takes_requests_) return;
  takes_requests_ = true;
  in_background_ = true;
  for (const auto& lane : lanes_)
    lane->write_in_background();
  thread_ = std::thread([this] { run(); });
}

void stream_worker::run() {
  std::uint64_t seen = 0;
  while (!ending_.load(std::memory_order_acquire)) {
    const lane_times now{.monotonic_us = monotonic_us(), .wall_us = wall_us()};
    if (do_work(now) > 0) continue;
    const bool folding = std::any_of(lanes_.begin(), lanes_.end(),
                                     [](const auto& lane) { return !lane->is_between_blocks(); });
    const bool writing = std::any_of(lanes_.begin(), lanes_.end(),
                                     [](const auto& lane) { return lane->is_writing(); });
    if (folding) {
      std::this_thread::yield();
    } else {
      seen = log_->wait_for_news(seen, writing ? writing_rest_us : rest_us);
    }
  }
}

void stream_worker::stop() {
  ending_.store(true, std::memory_order_release);
  if (thread_.joinable()) thread_.join();
  {
    std::lock_guard lock(mutex_);
    takes_requests_ = false;
  }
  take_requests();
  const lane_times now{.monotonic_us = monotonic_us(), .wall_us = wall_us()};
  for (const auto& lane : lanes_) {
    if (deleted_) break;
    const status written = lane->finish(now);
    if (!written.ok()) say(lane->views(), written.failure().message());
  }
  count();
  for (const auto& one : views_)
    one->feed().close();
}

}  // namespace millrace
