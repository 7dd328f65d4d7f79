#include "gpu/pane_store.h"

#include <algorithm>

#include "base/check.h"
#include "gpu/row_emitter.h"
#include "gpu/state_update.h"
#include "gpu/window_math.h"

namespace millrace {

pane_store::pane_store(const fold_program& program, memory_budget& budget)
    : program_(program),
      window_(program.plan.window),
      budget_(budget),
      closed_until_us_(time_never) {}

pane_store::pane* pane_store::pane_of(std::int64_t start_us) {
  const auto found = panes_.find(start_us);
  if (found != panes_.end()) return found->second.get();
  // All windows of such a pane are out. No record that is not late has such a time.
  if (start_us + window_.size_us <= closed_until_us_) return nullptr;
  if (panes_.size() >= program_.plan.windows_max) return nullptr;
  auto made = std::make_unique<pane>(program_, budget_);
  made->groups.expect(expected_groups_);
  return panes_.emplace(start_us, std::move(made)).first->second.get();
}

slot_lines pane_store::lines_at(std::int64_t time_us) const {
  const auto after = panes_.upper_bound(time_us);
  return after == panes_.begin() ? slot_lines{} : std::prev(after)->second->groups.lines();
}

/// Cuts the batch into neighbours that share a pane, and has the slots fetched of all that are not
/// in the first one's, where its slots were.
void pane_store::find_panes(const fold_batch& batch) {
  runs_.clear();
  for (std::uint32_t i = 0; i < batch.count;) {
    const std::int64_t start = pane_start(batch.time_us[i], window_.hop_us, window_.offset_us);
    const std::uint32_t from = i++;
    while (i < batch.count && batch.time_us[i] >= start &&
           batch.time_us[i] - start < window_.hop_us) {
      ++i;
    }
    pane* const found = pane_of(start);
    runs_.push_back({found, from, i});
    if (found != nullptr && from != 0) found->groups.prefetch(batch.hash + from, i - from);
  }
}

/// The states of a run's records; null where there is no room for the group. All guesses come
/// first, so that their rows are under way together, and are then looked at by a loop with nothing
/// else in it. Returns whether there was room for all.
bool pane_store::find_states(const pane_run& run, fold_batch& batch) {
  group_table& groups = run.in->groups;
  for (std::uint32_t i = run.from; i < run.end; ++i)
    batch.state[i] = groups.guess(batch.hash[i]);
  std::uint16_t missed[fold_chunk_records];
  std::uint32_t missed_count = 0;
  for (std::uint32_t i = run.from; i < run.end; ++i) {
    std::uint64_t* const row = batch.state[i];
    if (row != nullptr && groups.has_key(row, batch.key[i])) [[likely]] {
      batch.state[i] = groups.state(row);
    } else {
      missed[missed_count++] = static_cast<std::uint16_t>(i);
    }
  }
  bool has_room = true;
  for (std::uint32_t m = 0; m < missed_count; ++m) {
    const std::uint32_t i = missed[m];
    std::uint64_t* row = groups.find(batch.hash[i], batch.key[i]);
    if (row == nullptr) row = groups.insert(batch.hash[i], batch.key[i]);
    batch.state[i] = row == nullptr ? nullptr : groups.state(row);
    has_room = has_room && row != nullptr;
  }
  return has_room;
}

std::uint32_t pane_store::fold(fold_batch& batch) {
  find_panes(batch);
  sketch_arena* sketches[fold_chunk_records];
  bool has_room = true;
  for (const pane_run& run : runs_) {
    if (run.in == nullptr) {
      std::fill(batch.state + run.from, batch.state + run.end, nullptr);
      has_room = false;
      continue;
    }
    has_room = find_states(run, batch) && has_room;
    if (!program_.sketches.empty())
      std::fill(sketches + run.from, sketches + run.end, &run.in->sketches);
  }
  std::uint32_t left_out = has_room ? 0 : leave_out(batch, sketches);
  left_out += update_sketches(program_, batch, sketches);
  update_states(program_, batch);
  return left_out;
}

/// Takes records without a state out of the batch; returns how many.
std::uint32_t pane_store::leave_out(fold_batch& batch, sketch_arena** sketches) const {
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    if (batch.state[i] == nullptr) continue;
    batch.index[kept] = batch.index[i];
    batch.time_us[kept] = batch.time_us[i];
    if (!program_.sketches.empty()) sketches[kept] = sketches[i];
    batch.state[kept++] = batch.state[i];
  }
  const std::uint32_t left_out = batch.count - kept;
  batch.count = kept;
  return left_out;
}

void pane_store::absorb(std::int64_t start_us, key_ref key, std::uint64_t hash,
                        const std::uint64_t* state,
                        std::span<const std::vector<sketch_entry>> sketches) {
  std::unique_ptr<pane>& one = panes_[start_us];
  if (one == nullptr) one = std::make_unique<pane>(program_, budget_);
  std::uint64_t* row = one->groups.find(hash, key);
  if (row == nullptr) row = one->groups.insert(hash, key);
  MILLRACE_CHECK(row != nullptr, "memory for a group from elsewhere");
  std::uint64_t* const into = one->groups.state(row);
  std::size_t sketch = 0;
  for (const state_part& part : program_.parts) {
    if (!is_sketch(part.kind)) {
      merge_part<plain_words>(part, into, state);
      continue;
    }
    for (const sketch_entry& entry : sketches[sketch]) {
      MILLRACE_CHECK(one->sketches.put(into[part.word], entry, part.kind == part_kind::distinct),
                     "memory for a sketch from elsewhere");
    }
    ++sketch;
  }
}

std::int64_t pane_store::next_end() const {
  // The first pane has windows that are not out: its earliest ends one hop after its start.
  const std::int64_t first = panes_.begin()->first + window_.hop_us;
  if (closed_until_us_ == time_never) return first;
  const std::int64_t next =
      pane_start(closed_until_us_, window_.hop_us, window_.offset_us) + window_.hop_us;
  return std::max(first, next);
}

void pane_store::emit(std::int64_t end_us, std::uint64_t rows_max, window_rows& out) {
  const std::int64_t start_us = end_us - window_.size_us;
  const auto from = panes_.lower_bound(start_us);
  const auto to = panes_.lower_bound(end_us);
  if (from == to) return;
  const auto add_all = [&](const group_table& groups) {
    row_emitter rows(program_, groups, start_us, end_us);
    rows.reserve(groups.size());
    groups.for_each_row([&](const std::uint64_t* row) {
      // Its one record may have been left out for want of memory for its sketch.
      if (groups.state(row)[0] != 0) rows.add(row);
    });
    rows.emit(rows_max, out);
  };
  if (std::next(from) == to) return add_all(from->second->groups);
  memory_budget budget = unlimited_budget();
  pane together(program_, budget);
  for (auto at = from; at != to; ++at)
    merge_pane(*at->second, together);
  add_all(together.groups);
}

void pane_store::merge_pane(const pane& from, pane& into) const {
  from.groups.for_each([&](std::uint64_t* row, std::uint64_t hash) {
    const key_ref key = from.groups.key(row);
    std::uint64_t* sum = into.groups.find(hash, key);
    if (sum == nullptr) sum = into.groups.insert(hash, key);
    MILLRACE_CHECK(sum != nullptr && merge_states(program_, into.groups.state(sum),
                                                  from.groups.state(row), into.sketches),
                   "memory for the panes of a window together");
  });
}

void pane_store::close(std::int64_t watermark_us, window_rows& out) {
  while (!panes_.empty()) {
    const std::int64_t end = next_end();
    if (end > watermark_us) break;
    emit(end, UINT64_MAX, out);
    closed_until_us_ = end;
    const std::uint64_t bytes_before = budget_.bytes;
    while (!panes_.empty() && panes_.begin()->first + window_.size_us <= end) {
      expected_groups_ = panes_.begin()->second->groups.size();
      panes_.erase(panes_.begin());
    }
    // As much as this window had, for the next one.
    if (budget_.bytes < bytes_before) budget_.spare.trim(bytes_before - budget_.bytes);
  }
  closed_until_us_ = std::max(closed_until_us_, watermark_us);
}

void pane_store::read_open(const open_range& range, window_rows& out) {
  if (panes_.empty()) return;
  const std::int64_t first = next_end();
  std::vector<window_rows> found;  // the newest window first
  std::uint64_t left = range.rows_max;
  for (std::int64_t end = panes_.rbegin()->first + window_.size_us; left > 0;
       end -= window_.hop_us) {
    const auto after = panes_.lower_bound(end);
    if (after == panes_.begin()) break;
    // Over a gap without panes, to the last window that has the one before it.
    end = std::min(end, std::prev(after)->first + window_.size_us);
    if (end < first || end <= range.from_us) break;
    if (!range.has(end - window_.size_us, end)) continue;
    emit(end, left, found.emplace_back());
    left -= found.back().rows.size();
  }
  for (auto one = found.rbegin(); one != found.rend(); ++one)
    append_rows(*one, out);
}

void pane_store::snapshot(std::vector<std::byte>& out) const {
  snapshot_writer writer(program_, closed_until_us_, out);
  snapshot_entry entry;
  for (const auto& [start, one] : panes_) {
    entry.start_us = start;
    entry.end_us = start + window_.hop_us;
    auto& groups = one->groups;
    groups.for_each([&](std::uint64_t* row, std::uint64_t) {
      const std::uint64_t* const state = groups.state(row);
      if (state[0] == 0) return;
      entry.key = groups.key(row).view();
      save_state(program_, state, entry);
      writer.add(entry);
    });
  }
  writer.finish();
}

status pane_store::restore(snapshot_reader& from) {
  closed_until_us_ = from.closed_until_us();
  snapshot_entry entry;
  for (std::uint64_t i = 0; i < from.entries(); ++i) {
    MILLRACE_TRY(from.next(entry));
    if (entry.start_us + window_.size_us <= closed_until_us_) {
      return error(error_code::corrupt, "a pane's windows are all closed");
    }
    pane* const one = pane_of(entry.start_us);
    const padded_key key(entry.key);
    if (one != nullptr && one->groups.find(key.hash(program_.secret), key.key()) != nullptr) {
      return error(error_code::corrupt, "a group is there twice");
    }
    std::uint64_t* const row =
        one == nullptr ? nullptr : one->groups.insert(key.hash(program_.secret), key.key());
    if (row == nullptr || !load_state(program_, entry, one->groups.state(row), one->sketches)) {
      return error(error_code::exhausted, "it does not fit within the view's limits");
    }
  }
  return {};
}

}  // namespace millrace
