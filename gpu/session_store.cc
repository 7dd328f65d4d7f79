#include "gpu/session_store.h"

#include <algorithm>

#include "base/check.h"
#include "gpu/row_emitter.h"
#include "gpu/state_update.h"

namespace millrace {
namespace {

constexpr auto ends_later = [](const auto& a, const auto& b) { return a.end_us > b.end_us; };

}  // namespace

std::vector<std::uint64_t> session_store::with_extent(std::span<const std::uint64_t> state) {
  std::vector<std::uint64_t> words(extent_words);
  words.insert(words.end(), state.begin(), state.end());
  return words;
}

session_store::session_store(const fold_program& program, memory_budget& budget)
    : program_(program),
      gap_us_(program.plan.window.size_us),
      budget_(budget),
      empty_(with_extent(program.empty)),
      sessions_(program.key_bytes, empty_, budget),
      sketches_(budget, program.secret) {}

session_store::~session_store() {
  budget_.bytes -= endings_.capacity() * sizeof(ending);
}

void session_store::push_ending(const ending& one) {
  const std::size_t capacity = endings_.capacity();
  endings_.push_back(one);
  std::ranges::push_heap(endings_, ends_later);
  budget_.bytes += (endings_.capacity() - capacity) * sizeof(ending);
}

std::uint64_t* session_store::start(std::uint64_t hash, key_ref key, std::int64_t time_us) {
  std::uint64_t* const row = sessions_.insert(hash, key);
  if (row == nullptr) return nullptr;
  set_extent(row, time_us, time_us);
  sessions_.state(row)[2] = next_serial_;
  push_ending({time_us + gap_us_, next_serial_++, hash, row});
  return row;
}

void session_store::erase(std::uint64_t hash, std::uint64_t* row) {
  for (const std::uint16_t part : program_.sketches) {
    sketches_.release(state_of(row)[program_.parts[part].word]);
  }
  sessions_.state(row)[2] =
      0;  // what is left of it among the endings is not of the row's next user
  sessions_.erase(hash, row);
}

void session_store::merge(std::uint64_t* into, std::uint64_t* from, std::uint64_t hash) {
  budget_.may_exceed = true;
  MILLRACE_CHECK(merge_states(program_, state_of(into), state_of(from), sketches_),
                 "memory for two sessions together");
  budget_.may_exceed = false;
  set_extent(into, std::min(first_of(into), first_of(from)),
             std::max(last_of(into), last_of(from)));
  erase(hash, from);
}

std::uint32_t session_store::fold(fold_batch& batch) {
  // Has their memory fetched.
  for (std::uint32_t i = 0; i < batch.count; ++i)
    (void)sessions_.guess(batch.hash[i]);
  sketch_arena* sketches[fold_chunk_records];
  std::fill_n(sketches, batch.count, &sketches_);
  const std::uint32_t count = batch.count;
  std::uint32_t left_out = 0;
  std::uint32_t folded = 0;  // into their states
  std::uint32_t kept = 0;
  const auto fold_kept = [&] {
    batch.count = kept;
    left_out += update_sketches(program_, batch, sketches, folded);
    update_states(program_, batch, folded);
    kept = folded = batch.count;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t hash = batch.hash[i];
    const std::int64_t time = batch.time_us[i];
    std::uint64_t* row = sessions_.find_where(hash, batch.key[i],
                                              [&](std::uint64_t* one) { return joins(one, time); });
    if (row == nullptr) {
      row = start(hash, batch.key[i], time);
    } else if (time < first_of(row) || time > last_of(row)) {
      std::uint64_t* const other = sessions_.find_where(
          hash, batch.key[i], [&](std::uint64_t* one) { return one != row && joins(one, time); });
      set_extent(row, std::min(first_of(row), time), std::max(last_of(row), time));
      if (other != nullptr) {
        fold_kept();
        merge(row, other, hash);
      }
    }
    if (row == nullptr) {
      ++left_out;
      continue;
    }
    batch.index[kept] = batch.index[i];
    batch.time_us[kept] = time;
    batch.state[kept++] = state_of(row);
  }
  fold_kept();
  return left_out;
}

void session_store::close(std::int64_t watermark_us, window_rows& out) {
  std::vector<ending> closed;
  while (!endings_.empty() && endings_.front().end_us <= watermark_us) {
    ending one = endings_.front();
    std::ranges::pop_heap(endings_, ends_later);
    endings_.pop_back();
    if (serial_of(one.row) != one.serial) continue;
    one.end_us = end_of(one.row);
    if (one.end_us > watermark_us) {
      push_ending(one);
    } else {
      closed.push_back(one);
    }
  }
  row_emitter rows(program_, sessions_, gap_us_, extent_words);
  for (const ending& one : closed) {
    if (state_of(one.row)[0] != 0) rows.add(one.row);
  }
  closed_until_us_ = std::max(closed_until_us_, watermark_us);
  rows.emit(UINT64_MAX, out);
  for (const ending& one : closed)
    erase(one.hash, one.row);
}

void session_store::read_open(const open_range& range, window_rows& out) {
  row_emitter rows(program_, sessions_, gap_us_, extent_words);
  sessions_.for_each([&](std::uint64_t* row, std::uint64_t) {
    if (state_of(row)[0] != 0 && range.has(first_of(row), end_of(row))) rows.add(row);
  });
  rows.emit_last(range.rows_max, out);
}

void session_store::snapshot(std::vector<std::byte>& out) const {
  snapshot_writer writer(program_, closed_until_us_, out);
  snapshot_entry entry;
  sessions_.for_each([&](std::uint64_t* row, std::uint64_t) {
    if (state_of(row)[0] == 0) return;
    entry.start_us = first_of(row);
    entry.end_us = last_of(row);
    entry.key = sessions_.key(row).view();
    save_state(program_, state_of(row), entry);
    writer.add(entry);
  });
  writer.finish();
}

status session_store::restore(snapshot_reader& from) {
  closed_until_us_ = from.closed_until_us();
  snapshot_entry entry;
  for (std::uint64_t i = 0; i < from.entries(); ++i) {
    MILLRACE_TRY(from.next(entry));
    const padded_key key(entry.key);
    const auto overlaps = [&](std::uint64_t* row) {
      return entry.start_us - last_of(row) < gap_us_ && first_of(row) - entry.end_us < gap_us_;
    };
    if (sessions_.find_where(key.hash(program_.secret), key.key(), overlaps) != nullptr) {
      return error(error_code::corrupt, "two sessions of a group overlap");
    }
    std::uint64_t* const row = start(key.hash(program_.secret), key.key(), entry.start_us);
    if (row == nullptr || !load_state(program_, entry, state_of(row), sketches_)) {
      return error(error_code::exhausted, "it does not fit within the view's limits");
    }
    set_extent(row, entry.start_us, entry.end_us);
  }
  return {};
}

}  // namespace millrace
