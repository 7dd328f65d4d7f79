// The pipeline behind the doors: batches in memory → route → block with checksums → log. `discard`
// has a file system that forgets, so its figures per CPU second are what the path costs; `durable`
// writes to MILLRACE_BENCH_DIR (default: the working directory), and `disk` beside it writes blocks
// of the same size, with as many in flight and the same sync, and does nothing else: its ceiling.
#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <poll.h>

#include "base/clock.h"
#include "base/limits.h"
#include "shards/discard_file_system.h"
#include "shards/pipeline.h"

namespace millrace {
namespace {

constexpr std::uint64_t log_bytes_max = 4096 * limits::mib;
/// More than the caches hold, as the arena of a busy server is.
constexpr std::uint64_t source_bytes = 128 * limits::mib;

std::uint64_t batch_bytes(std::uint64_t shards) {
  return std::clamp<std::uint64_t>(shards * limits::batch_bytes_per_shard,
                                   limits::batch_bytes_default, limits::batch_bytes_max);
}

void require(const status& done) {
  MILLRACE_CHECK(done.ok(), done.ok() ? "" : done.failure().message().c_str());
}

/// Batches that are filled once and submitted again and again.
class repeating_door final : public batch_home {
 public:
  repeating_door(stream_id stream, std::uint64_t bytes_a_batch, std::uint32_t record_bytes,
                 std::uint64_t batches) {
    std::mt19937 random(1);
    const std::uint64_t stride = align_up(record_bytes, record_alignment);
    const auto count = std::min<std::uint64_t>(bytes_a_batch / stride, limits::batch_records_max);
    bytes_.resize(batches * count * stride);
    std::byte* at = bytes_.data();
    for (std::uint64_t b = 0; b < batches; ++b) {
      record_batch& batch = batches_.emplace_back(*this);
      batch.stream = stream;
      batch.opened_us = 1;
      for (std::uint64_t i = 0; i < count; ++i, at += stride) {
        std::string key = std::to_string(random() % 10'000'000);
        key = "user-" + std::string(11 - key.size(), '0') + key;
        const std::vector<std::byte> data(record_bytes - sizeof(record_header) - key.size());
        write_record(at, key, data, nullptr);
        batch.records.push_back({.bytes = at,
                                 .stride = static_cast<std::uint32_t>(stride),
                                 .key_bytes = static_cast<std::uint16_t>(key.size()),
                                 .flags = 0,
                                 .reserved = 0});
        batch.record_bytes += stride;
      }
      batch_entry all;
      all.record_count = static_cast<std::uint32_t>(count);
      batch.entries.push_back(all);
      free_.push_back(&batch);
    }
  }

  void finished(record_batch& batch) override {
    std::lock_guard lock(mutex_);
    MILLRACE_CHECK(batch.result == outcome::committed, "the log takes every batch");
    batch.advance(batch_state::finished, batch_state::idle);
    free_.push_back(&batch);
    came_back_.notify_one();
  }

  /// Null when all are on their way.
  record_batch* take(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) came_back_.wait(lock, [&] { return !free_.empty(); });
    if (free_.empty()) return nullptr;
    record_batch* const batch = free_.front();
    free_.pop_front();
    batch->advance(batch_state::idle, batch_state::filling);
    batch->entries[0].result = outcome::pending;
    return batch;
  }
  void wait_for_all() {
    std::unique_lock lock(mutex_);
    came_back_.wait(lock, [&] { return free_.size() == batches_.size(); });
  }

 private:
  std::vector<std::byte> bytes_;
  std::deque<record_batch> batches_;
  std::mutex mutex_;
  std::condition_variable came_back_;
  std::deque<record_batch*> free_;
};

std::string bench_directory(const char* what) {
  const char* const chosen = std::getenv("MILLRACE_BENCH_DIR");
  return std::string(chosen != nullptr ? chosen : ".") + "/millrace-bench-" + what;
}

/// A pipeline with one stream whose log stays bounded.
struct bench_pipeline {
  std::string directory = bench_directory("pipeline");
  std::unique_ptr<pipeline> line;
  std::unique_ptr<repeating_door> door;

  bench_pipeline(std::shared_ptr<file_system> files, const benchmark::State& state) {
    const auto shards = static_cast<std::uint32_t>(state.range(0));
    std::filesystem::remove_all(directory);
    pipeline_options options;
    options.data_directory = directory;
    options.files = std::move(files);
    options.batches_max = source_bytes / limits::batch_bytes_default;  // all of the door's
    std::vector<recovered_stream> recovered;
    auto opened = pipeline::open(options, recovered);
    MILLRACE_CHECK(opened.ok(), opened.ok() ? "" : opened.failure().message().c_str());
    line = std::move(*opened);
    const auto made = line->create_stream(
        "bench", shards,
        {.hours = 24, .bytes_max = log_bytes_max, .when_full = full_policy::drop_oldest});
    MILLRACE_CHECK(made.ok(), "the stream is new");
    door = std::make_unique<repeating_door>(made->id, batch_bytes(shards),
                                            static_cast<std::uint32_t>(state.range(1)),
                                            source_bytes / batch_bytes(shards));
  }
  ~bench_pipeline() {
    line->stop();
    line.reset();
    std::filesystem::remove_all(directory);
  }

  void report(benchmark::State& state, std::uint64_t records, std::uint64_t bytes) const {
    state.counters["records"] =
        benchmark::Counter(static_cast<double>(records), benchmark::Counter::kIsRate);
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
    const auto& counted = line->counters();
    state.counters["framing_%"] =
        100.0 * static_cast<double>(counted.get(counter::block_bytes_written)) /
            static_cast<double>(counted.get(counter::record_bytes_durable)) -
        100.0;
  }
};

/// One thread, all of whose work is the pipeline's: records a CPU second.
void discard(benchmark::State& state) {
  bench_pipeline bench(make_discard_file_system(), state);
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    record_batch* const batch = bench.door->take(false);
    MILLRACE_CHECK(batch != nullptr, "a discarded batch comes back at once");
    records += batch->records.size();
    bytes += batch->record_bytes;
    MILLRACE_CHECK(bench.line->submit(*batch), "there is room for one");
    while (batch->state() == batch_state::submitted)
      bench.line->do_work();
  }
  bench.report(state, records, bytes);
}

/// Bytes a second that the disk took, by block size: for the percentages beside them.
std::map<std::uint64_t, double> disk_rates;

double elapsed_s(std::uint64_t from_us) {
  return static_cast<double>(monotonic_us() - from_us) / 1e6;
}

void disk(benchmark::State& state) {
  const std::uint64_t block = batch_bytes(static_cast<std::uint64_t>(state.range(0)));
  const std::string directory = bench_directory("disk");
  const auto files = make_posix_file_system(flush_engine::automatic);
  require(files->create_directory(directory));
  const std::uint64_t segment = limits::segment_bytes_default;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(disk_block_bytes, block));
  std::fill_n(memory, block, std::byte{0x5a});
  std::uint64_t written = 0;
  const std::uint64_t from_us = monotonic_us();
  {
    auto queue = files->make_write_queue(limits::flushes_in_flight_max);
    std::unique_ptr<file> open;
    std::uint64_t offset = segment;
    std::uint64_t in_flight = 0;
    std::uint64_t number = 0;
    std::vector<finished_write> ended;
    const auto collect = [&](std::uint64_t most) {
      while (in_flight > most) {
        pollfd ready{.fd = queue->poll_fd(), .events = POLLIN, .revents = 0};
        if (ready.fd >= 0) poll(&ready, 1, 10);
        ended.clear();
        queue->poll(ended);
        in_flight -= ended.size();
        for (const finished_write& one : ended)
          require(one.outcome);
      }
    };
    for (auto _ : state) {
      if (offset + block > segment) {
        collect(0);
        const std::string path = directory + "/" + std::to_string(number++ % 4);
        if (number > 4) require(files->remove(path));
        auto created = files->open(path, open_mode::create);
        MILLRACE_CHECK(created.ok(), "the bench's own directory");
        open = std::move(*created);
        require(open->allocate(segment));
        offset = 0;
      }
      collect(limits::flushes_in_flight_max - 1);
      MILLRACE_CHECK(queue->submit(*open, offset, {memory, block}, durability::durable, number),
                     "there is room");
      ++in_flight;
      offset += block;
      written += block;
    }
    collect(0);
  }
  disk_rates[block] = static_cast<double>(written) / elapsed_s(from_us);
  state.SetBytesProcessed(static_cast<std::int64_t>(written));
  std::free(memory);
  require(files->remove_directory(directory));
}

/// The agent's thread with the bench's as the door: what is durable a second of wall time.
void durable(benchmark::State& state) {
  bench_pipeline bench(make_posix_file_system(flush_engine::automatic), state);
  bench.line->start();
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  const std::uint64_t from_us = monotonic_us();
  for (auto _ : state) {
    record_batch* const batch = bench.door->take(true);
    records += batch->records.size();
    bytes += batch->record_bytes;
    while (!bench.line->submit(*batch))
      benchmark::DoNotOptimize(records);
  }
  bench.door->wait_for_all();
  const double written =
      static_cast<double>(bench.line->counters().get(counter::block_bytes_written));
  const auto ceiling = disk_rates.find(batch_bytes(static_cast<std::uint64_t>(state.range(0))));
  if (ceiling != disk_rates.end()) {
    state.counters["of_disk_%"] = 100.0 * written / elapsed_s(from_us) / ceiling->second;
  }
  bench.report(state, records, bytes);
}

BENCHMARK(discard)
    ->ArgNames({"shards", "bytes"})
    ->ArgsProduct({{1, 4, 4096}, {100, 1024}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(disk)
    ->ArgNames({"shards"})
    ->Arg(4)
    ->Arg(4096)
    ->UseRealTime()
    ->MinTime(2)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(durable)
    ->ArgNames({"shards", "bytes"})
    ->ArgsProduct({{4, 4096}, {100, 1024}})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->MinTime(2)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace
