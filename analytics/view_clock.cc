#include "analytics/view_clock.h"

#include <algorithm>
#include <unordered_set>

#include "gpu/window_math.h"

namespace millrace {
view_clock::list::iterator view_clock::add(shard_index shard) {
  others_.push_back({.shard = shard, .now = phase::idle, .next = {}, .clock = {}, .active_us = 0});
  const auto one = std::prev(others_.end());
  by_shard_.emplace(shard, one);
  return one;
}

void view_clock::set_phase(list::iterator one, phase now) {
  const bool counted = one->now == phase::counted;
  if (counted || now == phase::counted) look_again_ = true;
  one->now = now;
  list& from = counted ? counted_ : others_;
  list& to = now == phase::counted ? counted_ : others_;
  to.splice(to.end(), from, one);
}

std::int64_t view_clock::watermark_of(const shard_state& one) const {
  return shard_watermark(one.clock.newest_us, one.clock.floor_us, delay_us_);
}

/// The watermark is the least of what counts, and never goes back.
void view_clock::raise() {
  if (look_again_) {
    look_again_ = false;
    least_us_ = INT64_MAX;
    for (const shard_state& one : counted_)
      least_us_ = std::min(least_us_, watermark_of(one));
  }
  if (!counted_.empty()) watermark_us_ = std::max(watermark_us_, least_us_);
}

shard_clock view_clock::begin_run(shard_index shard) {
  const auto known = by_shard_.find(shard);
  const auto one = known != by_shard_.end() ? known->second : add(shard);
  if (one->now != phase::counted) {
    one->clock.floor_us = std::max(one->clock.floor_us, watermark_us_);
    set_phase(one, phase::counted);
  }
  return one->clock;
}

std::uint64_t view_clock::end_run(shard_index shard, record_index first,
                                  std::uint32_t record_count, const shard_clock& after,
                                  std::uint64_t arrival_us) {
  const auto one = by_shard_.at(shard);
  const bool is_new = one->active_us == 0 && one->next == record_index{};
  const std::uint64_t missing =
      !is_new && first > one->next ? first.value - one->next.value : 0;
  if (watermark_of(*one) <= least_us_) look_again_ = true;
  one->next = first.next(record_count);
  one->clock = after;
  one->active_us = arrival_us;
  newest_us_ = std::max(newest_us_, after.newest_us);
  counted_.splice(counted_.end(), counted_, one);
  return missing;
}

void view_clock::end_block(std::uint64_t arrival_us) {
  arrival_us_ = arrival_us;
  // Shards that were there before the first block are silent since then.
  for (auto one = counted_.begin(); one != counted_.end() && one->active_us == 0; ++one)
    one->active_us = arrival_us;
  while (!counted_.empty() &&
         counted_.front().active_us + static_cast<std::uint64_t>(idle_us_) < arrival_us) {
    set_phase(counted_.begin(), phase::idle);
  }
  raise();
}

// --- decisions -----------------------------------------------------------------------------------

std::vector<clock_decision> view_clock::decide(std::span<const known_shard> shards,
                                               std::uint64_t wall_us,
                                               std::optional<std::uint64_t> caught_up_us) const {
  using kind = clock_decision::kind;
  std::vector<clock_decision> taken;
  // A shard enters when its parents will have no more records, so that time does not run ahead in
  // between. Indexes of children are above those of their parents.
  std::unordered_set<shard_index> unfinished;
  for (const known_shard& one : shards) {
    const shard_state* const known = find(one.shard);
    if (known != nullptr) {
      const bool is_done = !one.is_open && known->next >= one.end;
      if (is_done && known->now != phase::closed) taken.push_back({kind::close, one.shard});
      if (!is_done && known->now != phase::closed) unfinished.insert(one.shard);
      continue;
    }
    if (!one.is_open && one.horizon >= one.end) continue;  // nothing will come of it
    unfinished.insert(one.shard);
    std::int64_t newest_us = INT64_MAX;
    bool waits = false;
    for (const auto& parent : {one.parent, one.adjacent_parent}) {
      if (!parent) continue;
      waits = waits || unfinished.contains(*parent);
      const shard_state* const of = find(*parent);
      if (of != nullptr) newest_us = std::min(newest_us, of->clock.newest_us);
    }
    if (waits) continue;
    if (newest_us == INT64_MAX) newest_us = shard_clock::never;
    taken.push_back({kind::enter, one.shard, newest_us,
                     caught_up_us ? std::max(wall_us, arrival_us_) : arrival_us_, one.horizon});
  }
  if (!caught_up_us) return taken;
  for (const shard_state& one : counted_) {
    const std::uint64_t since_us = std::max(one.active_us, *caught_up_us);
    if (wall_us < since_us + static_cast<std::uint64_t>(idle_us_)) continue;
    const clock_decision idle{kind::idle, one.shard};
    const bool closes = std::any_of(taken.begin(), taken.end(), [&](const clock_decision& other) {
      return other.what == kind::close && other.shard == one.shard;
    });
    if (!closes) taken.push_back(idle);
  }
  return taken;
}

std::optional<std::int64_t> view_clock::wall_watermark_us(std::uint64_t wall_us,
                                                          std::uint64_t caught_up_us) const {
  if (!counted_.empty() || newest_us_ == shard_clock::never) return std::nullopt;
  const std::uint64_t since_us = std::max(arrival_us_, caught_up_us);
  if (wall_us <= since_us) return std::nullopt;
  const std::int64_t target_us =
      newest_us_ - delay_us_ + static_cast<std::int64_t>(wall_us - since_us);
  return target_us > watermark_us_ ? std::optional(target_us) : std::nullopt;
}

void view_clock::apply(std::span<const clock_decision> decisions) {
  for (const clock_decision& one : decisions) {
    if (one.what == clock_decision::kind::wall) {
      watermark_us_ = std::max(watermark_us_, one.time_us);
      continue;
    }
    const auto known = by_shard_.find(one.shard);
    const auto at = known != by_shard_.end() ? known->second : add(one.shard);
    switch (one.what) {
      case clock_decision::kind::enter:
        at->clock.newest_us = one.time_us;
        at->active_us = one.active_us;
        at->next = std::max(at->next, one.next);
        set_phase(at, phase::counted);
        break;
      case clock_decision::kind::idle:
        set_phase(at, phase::idle);
        break;
      case clock_decision::kind::close:
        set_phase(at, phase::closed);
        break;
      case clock_decision::kind::wall:
        break;
    }
  }
  raise();
}

// --- state ---------------------------------------------------------------------------------------

const view_clock::shard_state* view_clock::find(shard_index shard) const {
  const auto known = by_shard_.find(shard);
  return known == by_shard_.end() ? nullptr : &*known->second;
}

void view_clock::forget_closed(std::span<const known_shard> shards) {
  std::unordered_set<shard_index> known;
  for (const known_shard& one : shards)
    known.insert(one.shard);
  for (auto one = others_.begin(); one != others_.end();) {
    if (one->now != phase::closed || known.contains(one->shard)) {
      ++one;
      continue;
    }
    by_shard_.erase(one->shard);
    one = others_.erase(one);
  }
}

view_clock::state view_clock::save() const {
  state all{watermark_us_, newest_us_, arrival_us_, {}};
  all.shards.assign(counted_.begin(), counted_.end());
  all.shards.insert(all.shards.end(), others_.begin(), others_.end());
  return all;
}

void view_clock::restore(const state& from) {
  watermark_us_ = from.watermark_us;
  newest_us_ = from.newest_us;
  arrival_us_ = from.arrival_us;
  counted_.clear();
  others_.clear();
  by_shard_.clear();
  for (const shard_state& one : from.shards) {
    list& in = one.now == phase::counted ? counted_ : others_;
    in.push_back(one);
    by_shard_.emplace(one.shard, std::prev(in.end()));
  }
  look_again_ = true;
}

}  // namespace millrace
