#include "gpu/cpu_fold.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "base/record_format.h"
#include "gpu/extract_pass.h"

namespace millrace {
namespace {

/// Of a run: some records' worth of what the memory takes to answer.
constexpr std::size_t walk_ahead_bytes = 2048;
/// Of a piece that several threads take turns at: what passes between them should be little beside
/// the work. One thread alone takes a chunk at a time, which stays in its first-level cache.
constexpr std::size_t shared_piece_chunks = 4;

/// Hides from the compiler that the two are equal where they are.
inline std::size_t opaque(std::size_t x) {
  asm("" : "+r"(x));
  return x;
}

/// The records from `at` on; the first one is as `first` says, but for its place. Returns where the
/// next one is.
const std::byte* walk(const std::byte* at, std::span<record_input> out, record_input first) {
  const auto take = [&](record_input& one, std::uint32_t stride) {
    // Where the next record is hangs on this one's header: fetched ahead, the chain is short.
    __builtin_prefetch(at + walk_ahead_bytes);
    first.bytes = at;
    first.stride = stride;
    one = first;
    ++first.number;
  };
  // As long as all are of one size, the processor takes the next one's place as given, and does not
  // wait for the header that says so.
  const std::uint32_t usual = record_view(at).stride();
  const std::size_t step = opaque(usual);
  std::size_t i = 0;
  for (; i < out.size(); ++i) {
    if (record_view(at).stride() != usual) break;
    take(out[i], usual);
    at += step;
  }
  for (; i < out.size(); ++i) {
    const std::uint32_t stride = record_view(at).stride();
    take(out[i], stride);
    at += stride;
  }
  return at;
}

}  // namespace

result<std::unique_ptr<window_fold>> cpu_fold::make(std::vector<view_plan> plans, unsigned threads,
                                                    std::string remark) {
  MILLRACE_ASSIGN(const std::vector<extract_pass> passes, plan_passes(plans));
  std::unique_ptr<cpu_fold> made(new cpu_fold(std::max(threads, 1u), std::move(remark)));
  made->views_.resize(plans.size());
  made->turns_ = std::vector<std::atomic<std::uint32_t>>(plans.size());
  std::size_t columns = 1;
  for (const extract_pass& one : passes) {
    MILLRACE_ASSIGN(extractor fields,
                    extractor::compile(one.layout, one.csv_delimiter, one.fields));
    pass& added = made->passes_.emplace_back(pass{std::move(fields), {}});
    columns = std::max(columns, one.fields.size());
    for (const extract_pass::view& view : one.views) {
      made->views_[view.number] =
          std::make_unique<view_fold>(compile_fold(plans[view.number], view.columns));
      added.views.push_back(view.number);
    }
  }
  const unsigned members = made->team_.members();
  made->pieces_.assign(members, piece(members == 1 ? 1 : shared_piece_chunks));
  for (piece& own : made->pieces_) {
    for (fold_chunk& chunk : own)
      chunk.fields.resize(columns * fold_chunk_records);
  }
  return std::unique_ptr<window_fold>(std::move(made));
}

bool cpu_fold::submit(fold_job& job) {
  if (done_ != nullptr) return false;
  MILLRACE_CHECK(job.views.size() == views_.size(), "a part for each view");
  for (fold_job::view_part& part : job.views) {
    MILLRACE_CHECK(part.clocks.size() == job.runs.size(), "a clock for each run");
    part.counts = {};
    part.late.clear();
  }
  for (const pass& one : passes_)
    fold(job, one);
  done_ = &job;
  return true;
}

void cpu_fold::fold(fold_job& job, const pass& with) {
  cursor_ = {};
  for (const std::uint32_t view : with.views)
    turns_[view].store(0, std::memory_order_relaxed);
  team_.run([&](unsigned member) { fold_pieces(job, with, pieces_[member]); });
}

void cpu_fold::fold_pieces(fold_job& job, const pass& with, piece& own) {
  std::uint32_t number = 0;
  while (take_piece(job, own, number)) {
    for (fold_chunk& chunk : own) {
      if (chunk.count == 0) break;
      with.fields.extract(chunk.records(), chunk.fields.data(), fold_chunk_records);
    }
    for (const std::uint32_t view : with.views) {
      std::atomic<std::uint32_t>& turn = turns_[view];
      for (std::uint32_t now = turn.load(std::memory_order_acquire); now != number;
           now = turn.load(std::memory_order_acquire)) {
        turn.wait(now, std::memory_order_acquire);
      }
      for (const fold_chunk& chunk : own) {
        if (chunk.count == 0) break;
        views_[view]->fold(chunk, job.views[view]);
      }
      turn.store(number + 1, std::memory_order_release);
      turn.notify_all();
    }
  }
}

/// The next records of the pass; false: there are none left. Chunks behind the last record are
/// empty.
bool cpu_fold::take_piece(const fold_job& job, piece& into, std::uint32_t& number) {
  std::lock_guard lock(mutex_);
  for (fold_chunk& chunk : into) {
    chunk.count = 0;
    chunk.segments.clear();
  }
  if (!take_chunk(job, into.front())) return false;
  for (std::size_t i = 1; i < into.size() && take_chunk(job, into[i]); ++i) {
  }
  number = cursor_.pieces++;
  return true;
}

bool cpu_fold::take_chunk(const fold_job& job, fold_chunk& into) {
  into.arrival_us = job.arrival_us;
  for (; cursor_.run < job.runs.size(); ++cursor_.run, cursor_.taken = 0) {
    const fold_run& run = job.runs[cursor_.run];
    const std::uint32_t filled = into.count;
    const std::uint32_t count =
        std::min(run.record_count - cursor_.taken, fold_chunk_records - filled);
    if (count == 0) {
      if (filled == fold_chunk_records) break;
      continue;
    }
    const std::byte* at = cursor_.taken == 0 ? run.bytes.data() : cursor_.at;
    into.segments.push_back({cursor_.run, filled, count});
    into.count += count;
    at = walk(at, std::span(into.room).subspan(filled, count),
              {.bytes = nullptr,
               .arrival_us = job.arrival_us,
               .number = run.first.value + cursor_.taken,
               .shard = run.shard.value,
               .stride = 0});
    cursor_.taken += count;
    cursor_.at = at;
    if (cursor_.taken < run.record_count) break;
  }
  return into.count != 0;
}

result<bool> cpu_fold::poll(fold_job& job) {
  if (done_ != &job) return false;
  done_ = nullptr;
  return true;
}

status cpu_fold::close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) {
  MILLRACE_CHECK(view < views_.size() && done_ == nullptr, "close of a view, no job in flight");
  views_[view]->close(watermark_us, out);
  return {};
}

status cpu_fold::read_open(std::uint32_t view, const open_range& range, window_rows& out) {
  MILLRACE_CHECK(view < views_.size() && done_ == nullptr, "read of a view, no job in flight");
  views_[view]->read_open(range, out);
  return {};
}

fold_size cpu_fold::size(std::uint32_t view) const {
  MILLRACE_CHECK(view < views_.size(), "size of a view");
  return views_[view]->size();
}

status cpu_fold::snapshot(std::uint32_t view, std::vector<std::byte>& out) {
  MILLRACE_CHECK(view < views_.size() && done_ == nullptr, "snapshot of a view, no job in flight");
  views_[view]->snapshot(out);
  return {};
}

status cpu_fold::restore(std::uint32_t view, byte_view snapshot) {
  MILLRACE_CHECK(view < views_.size() && done_ == nullptr, "restore of a view, no job in flight");
  return views_[view]->restore(snapshot);
}

result<std::unique_ptr<window_fold>> make_cpu_fold(std::vector<view_plan> plans) {
  return cpu_fold::make(std::move(plans), 1, "");
}
result<std::unique_ptr<window_fold>> make_cpu_fold_on(unsigned threads,
                                                      std::vector<view_plan> plans,
                                                      std::string remark) {
  return cpu_fold::make(std::move(plans), threads, std::move(remark));
}

}  // namespace millrace
