#include "gpu/cpu_fold.h"

#include <algorithm>

#include "base/check.h"
#include "base/record_format.h"
#include "gpu/extract_pass.h"

namespace millrace {

result<std::unique_ptr<window_fold>> cpu_fold::make(std::vector<view_plan> plans) {
  MILLRACE_ASSIGN(const std::vector<extract_pass> passes, plan_passes(plans));
  std::unique_ptr<cpu_fold> made(new cpu_fold);
  made->views_.resize(plans.size());
  for (const extract_pass& one : passes) {
    MILLRACE_ASSIGN(extractor fields,
                    extractor::compile(one.layout, one.csv_delimiter, one.fields));
    pass& added = made->passes_.emplace_back(pass{std::move(fields), {}, {}});
    added.chunk.fields.resize(std::max<std::size_t>(one.fields.size(), 1) * fold_chunk_records);
    for (const extract_pass::view& view : one.views) {
      made->views_[view.number] =
          std::make_unique<view_fold>(compile_fold(plans[view.number], view.columns));
      added.views.push_back(view.number);
    }
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
  for (pass& one : passes_)
    fold(job, one);
  done_ = &job;
  return true;
}

void cpu_fold::fold(fold_job& job, pass& with) {
  fold_chunk& chunk = with.chunk;
  chunk.arrival_us = job.arrival_us;
  chunk.records.clear();
  chunk.segments.clear();
  for (std::uint32_t run = 0; run < job.runs.size(); ++run) {
    const fold_run& records = job.runs[run];
    const std::byte* at = records.bytes.data();
    std::uint64_t number = records.first.value;
    for (std::uint32_t left = records.record_count; left > 0;) {
      const auto room = static_cast<std::uint32_t>(fold_chunk_records - chunk.records.size());
      const std::uint32_t count = std::min(left, room);
      chunk.segments.push_back({run, fold_chunk_records - room, count});
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t stride = record_view(at).stride();
        chunk.records.push_back({.bytes = at,
                                 .arrival_us = job.arrival_us,
                                 .number = number++,
                                 .shard = records.shard.value,
                                 .stride = stride});
        at += stride;
      }
      left -= count;
      if (count == room) fold_filled(job, with);
    }
  }
  if (!chunk.records.empty()) fold_filled(job, with);
}

void cpu_fold::fold_filled(fold_job& job, pass& with) {
  fold_chunk& chunk = with.chunk;
  with.fields.extract(chunk.records, chunk.fields.data(), fold_chunk_records);
  for (const std::uint32_t view : with.views)
    views_[view]->fold(chunk, job.views[view]);
  chunk.records.clear();
  chunk.segments.clear();
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

status cpu_fold::read_open(std::uint32_t view, std::uint32_t rows_max, window_rows& out) {
  MILLRACE_CHECK(view < views_.size() && done_ == nullptr, "read of a view, no job in flight");
  views_[view]->read_open(rows_max, out);
  return {};
}

fold_size cpu_fold::size(std::uint32_t view) const {
  MILLRACE_CHECK(view < views_.size(), "size of a view");
  return views_[view]->size();
}

status cpu_fold::snapshot(std::uint32_t, std::vector<std::byte>&) {
  return error(error_code::unsupported, "snapshot of windows: not yet");
}

status cpu_fold::restore(std::uint32_t, byte_view) {
  return error(error_code::unsupported, "restore of windows: not yet");
}

result<std::unique_ptr<window_fold>> make_cpu_fold(std::vector<view_plan> plans) {
  return cpu_fold::make(std::move(plans));
}

}  // namespace millrace
