#include "gpu/pane_store.h"

#include <algorithm>

#include "base/check.h"
#include "gpu/row_emitter.h"
#include "gpu/state_update.h"
#include "gpu/window_math.h"

namespace millrace {
namespace {

/// A row is asked for so many records before its key is compared: as many misses are under way
/// together, while the processor has something to do.
constexpr std::uint32_t rows_ahead = 32;

}  // namespace

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

std::uint64_t* pane_store::find_row(group_table& groups, const fold_batch& batch, std::uint32_t i,
                                    std::uint64_t* guessed) {
  if (guessed != nullptr && groups.has_key(guessed, batch.key[i])) [[likely]]
    return guessed;
  std::uint64_t* const row = groups.find(batch.hash[i], batch.key[i]);
  return row != nullptr ? row : groups.insert(batch.hash[i], batch.key[i]);
}

std::uint32_t pane_store::fold(fold_batch& batch) {
  find_panes(batch);
  const bool has_sketches = !program_.sketches.empty();
  sketch_arena* sketches[fold_chunk_records];
  std::uint32_t kept = 0;
  for (const pane_run& run : runs_) {
    if (run.in == nullptr) continue;
    group_table& groups = run.in->groups;
    std::uint64_t* guesses[rows_ahead];
    const std::uint32_t ahead = std::min(run.end - run.from, rows_ahead);
    for (std::uint32_t i = 0; i < ahead; ++i)
      guesses[i] = groups.guess(batch.hash[run.from + i]);
    for (std::uint32_t i = run.from; i < run.end; ++i) {
      std::uint64_t*& guessed = guesses[(i - run.from) % rows_ahead];
      std::uint64_t* const row = find_row(groups, batch, i, guessed);
      if (i + rows_ahead < run.end) guessed = groups.guess(batch.hash[i + rows_ahead]);
      if (row == nullptr) continue;
      if (kept != i) {
        batch.index[kept] = batch.index[i];
        batch.time_us[kept] = batch.time_us[i];
      }
      if (has_sketches) sketches[kept] = &run.in->sketches;
      batch.state[kept++] = groups.state(row);
    }
  }
  std::uint32_t left_out = batch.count - kept;
  batch.count = kept;
  left_out += update_sketches(program_, batch, sketches);
  update_states(program_, batch);
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

void pane_store::read_open(std::uint32_t rows_max, window_rows& out) {
  const std::size_t rows_before = out.rows.size();
  if (panes_.empty()) return;
  const std::int64_t last = panes_.rbegin()->first + window_.size_us;
  for (std::int64_t end = next_end(); end <= last; end += window_.hop_us) {
    const std::uint64_t left = rows_max - (out.rows.size() - rows_before);
    if (left == 0) break;
    // Over a gap without panes, to the first window that has the next one.
    const auto next = panes_.lower_bound(end - window_.size_us);
    end = std::max(end, next->first + window_.hop_us);
    emit(end, left, out);
  }
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
