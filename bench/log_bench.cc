// The log's share of the pipeline: batches to blocks with checksums and commits. Into a queue that
// forgets (what a core can do), and onto the disk, beside the disk's own rate for the same writes.
#include <algorithm>
#include <filesystem>
#include <numeric>

#include <benchmark/benchmark.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "shards/aligned_buffer.h"
#include "shards/block_builder.h"
#include "shards/stream_log.h"

namespace millrace {
namespace {

constexpr std::uint64_t batch_bytes = 1 * limits::mib;

/// A routed batch of equal records spread over `shards`, in memory of its own.
class made_batch final : public batch_home {
 public:
  made_batch(std::uint32_t record_bytes, std::uint32_t shards) : batch(*this) {
    const std::string key = "key-0123456789";
    const std::vector<std::byte> data(record_bytes - sizeof(record_header) - key.size());
    const std::uint32_t stride = record_stride(key.size(), data.size(), false);
    const auto count = static_cast<std::uint32_t>(batch_bytes / stride);
    memory_ = allocate_aligned(std::uint64_t{count} * stride);
    std::vector<std::uint32_t> counts(shards);
    for (std::uint32_t i = 0; i < count; ++i) {
      std::byte* const to = memory_.get() + std::uint64_t{i} * stride;
      write_record(to, key, data, nullptr);
      batch.records.push_back({to, stride, static_cast<std::uint16_t>(key.size()), 0, 0});
      const auto run = static_cast<std::uint16_t>(i * 2654435761u % shards);
      batch.run.push_back(run);
      batch.rank.push_back(counts[run]++);
    }
    batch.record_bytes = std::uint64_t{count} * stride;
    for (std::uint32_t i = 0; i < shards; ++i)
      batch.runs.push_back({shard_index(i), 1, {}, counts[i]});
    std::vector<std::uint32_t> first(shards);
    std::exclusive_scan(counts.begin(), counts.end(), first.begin(), 0u);
    order.resize(count);
    for (std::uint32_t i = 0; i < count; ++i)
      order[first[batch.run[i]] + batch.rank[i]] = batch.records[i];
    batch.entries.push_back({.record_count = count, .kind = entry_kind::raw});
  }
  void finished(record_batch&) override {}

  record_batch batch;
  std::vector<record_ref> order;

 private:
  aligned_memory memory_;
};

/// Copying and checksums alone: one block, built again and again.
void build(benchmark::State& state) {
  made_batch made(static_cast<std::uint32_t>(state.range(0)),
                  static_cast<std::uint32_t>(state.range(1)));
  const auto layout = plan_block(made.batch);
  const aligned_memory block = allocate_aligned(layout.block_bytes);
  for (auto _ : state) {
    build_block(made.batch, made.order, layout, block.get());
    seal_block({1, 0, 8192, 8192}, block.get());
    benchmark::DoNotOptimize(block.get()[0]);
  }
  const auto records = static_cast<std::int64_t>(made.batch.records.size());
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * records);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * made.batch.record_bytes));
  state.counters["framing_percent"] =
      100.0 * static_cast<double>(layout.block_bytes - made.batch.record_bytes) /
      static_cast<double>(made.batch.record_bytes);
}
BENCHMARK(build)->Args({100, 4})->Args({100, 256})->Args({1024, 4})->Args({1024, 256});

struct temporary_directory {
  std::string path = std::filesystem::temp_directory_path() / "millrace_bench.XXXXXX";
  temporary_directory() {
    if (mkdtemp(path.data()) == nullptr) path.clear();
  }
  ~temporary_directory() { std::filesystem::remove_all(path); }
};

void wait_for(int fd) {
  pollfd ready{fd, POLLIN, 0};
  ::poll(&ready, fd < 0 ? 0 : 1, 1);
}

/// Durable appends through the whole log.
void durable_append(benchmark::State& state) {
  const temporary_directory directory;
  const auto files = make_posix_file_system(flush_engine::automatic);
  counter_set counters;
  recovery_report report;
  auto log = stream_log::open(*files, directory.path + "/log", stream_id(1), {}, counters, report);
  if (!log.ok()) return state.SkipWithError(log.failure().message().c_str());
  std::vector<std::unique_ptr<made_batch>> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(std::make_unique<made_batch>(static_cast<std::uint32_t>(state.range(0)), 4));
  }
  std::vector<record_batch*> done;
  std::size_t next = 0;
  for (auto _ : state) {
    while (!(*log)->can_append()) {
      wait_for((*log)->poll_fd());
      (*log)->poll(monotonic_us(), done);
      (*log)->drop_segments(0, 4096 * limits::mib);
    }
    made_batch& one = *idle[next++ % idle.size()];
    one.batch.entries[0].result = outcome::pending;
    (*log)->append(one.batch, one.order, wall_us());
  }
  while (!(*log)->idle())
    (*log)->poll(monotonic_us(), done);
  state.SetBytesProcessed(static_cast<std::int64_t>(counters.get(counter::block_bytes_written)));
  state.SetItemsProcessed(static_cast<std::int64_t>(counters.get(counter::records_durable)));
}
BENCHMARK(durable_append)->Arg(100)->Arg(1024)->UseRealTime();

/// The ceiling: the same sizes, sync and number in flight, straight to a preallocated file.
void durable_ceiling(benchmark::State& state) {
  const temporary_directory directory;
  const auto files = make_posix_file_system(flush_engine::automatic);
  const auto into = files->open(directory.path + "/raw", open_mode::create);
  const std::uint64_t file_bytes = limits::segment_bytes_default;
  if (!into.ok() || !(*into)->allocate(file_bytes).ok()) return state.SkipWithError("no file");
  const made_batch made(1024, 4);
  const std::uint64_t bytes = plan_block(made.batch).block_bytes;
  const aligned_memory block = allocate_aligned(bytes);
  std::fill_n(block.get(), bytes, std::byte{7});
  const auto queue = files->make_write_queue(limits::flushes_in_flight_max);
  std::vector<finished_write> ended;
  std::uint64_t at = 0;
  std::uint64_t in_flight = 0;
  for (auto _ : state) {
    while (in_flight == limits::flushes_in_flight_max) {
      wait_for(queue->poll_fd());
      queue->poll(ended);
      in_flight -= ended.size();
      ended.clear();
    }
    if (at + bytes > file_bytes) at = 0;
    if (!queue->submit(**into, at, {block.get(), bytes}, durability::durable, 0)) break;
    ++in_flight;
    at += bytes;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}
BENCHMARK(durable_ceiling)->UseRealTime();

}  // namespace
}  // namespace millrace
