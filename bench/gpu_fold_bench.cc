// Folding on a device, beside the ceilings of gpu_bench.cc: records that lie on the device already,
// whole batches from host memory to closed windows, and the same on all cores of the host.
#include <chrono>
#include <deque>
#include <memory>
#include <thread>

#include "bench/gpu_bench.cuh"
#include "gpu/cpu_backend.h"
#include "gpu/cuda_backend.h"
#include "gpu/cuda_fold.h"
#include "gpu/fold.h"
#include "gpu/shard_map.h"

namespace millrace {
namespace {

constexpr std::uint32_t shards = 4;
constexpr std::int64_t window_us = 1'000'000;
constexpr std::uint64_t first_arrival_us = 1'700'000'000'000'000;

/// A batch with room for its routes, and the block that a log makes of it.
struct routed_batch {
  std::vector<record_ref> records;
  std::vector<std::uint16_t> shard;
  std::vector<std::uint32_t> rank;
  std::vector<std::uint32_t> shard_records;
  std::vector<std::uint64_t> shard_bytes;
  route_job job;
  std::vector<std::byte> block;  ///< records by shard
  std::vector<fold_run> runs;
  std::vector<shard_clock> clocks;
  std::vector<fold_job::view_part> parts;
  fold_job fold;

  void prepare(const shard_map& map, bool keep) {
    shard.resize(records.size());
    rank.resize(records.size());
    shard_records.resize(map.size());
    shard_bytes.resize(map.size());
    job = {.records = records,
           .map = &map,
           .shard = shard,
           .rank = rank,
           .shard_records = shard_records,
           .shard_bytes = shard_bytes,
           .keep = keep};
  }
  /// What the log does between routing and folding. `copies` false: the fold has the bytes.
  void make_block(bool copies) {
    std::size_t bytes = 0;
    for (const std::uint64_t one : shard_bytes)
      bytes += one;
    block.resize(bytes);
    runs.clear();
    std::size_t at = 0;
    for (std::uint32_t s = 0; s < shard_records.size(); ++s) {
      if (shard_records[s] == 0) continue;
      runs.push_back({shard_index(s), record_index(0), shard_records[s],
                      byte_view(block).subspan(at, shard_bytes[s])});
      at += shard_bytes[s];
    }
    if (!copies) return;
    std::vector<std::size_t> next(shard_bytes.size());
    for (std::size_t s = 1; s < next.size(); ++s)
      next[s] = next[s - 1] + shard_bytes[s - 1];
    for (std::size_t i = 0; i < records.size(); ++i) {
      std::memcpy(&block[next[shard[i]]], records[i].bytes, records[i].stride);
      next[shard[i]] += records[i].stride;
    }
  }
  void make_fold(std::uint64_t arrival_us) {
    clocks.assign(runs.size(), {});
    parts.assign(1, {});
    parts[0].clocks = clocks;
    fold = {.runs = runs, .arrival_us = arrival_us, .device = job.kept, .views = parts};
  }
};

template <class Poll>
void spin_until(Poll poll) {
  while (!poll()) {
  }
}

view_plan base_plan() {
  view_plan plan;
  plan.name = "bench";
  plan.stream = "bench";
  plan.window = {.kind = window_kind::tumbling, .size_us = window_us, .hop_us = window_us};
  plan.groups_max = 4'000'000;
  plan.state_bytes_max = 16ull << 30;
  return plan;
}

// --- records on the device -----------------------------------------------------------------------

/// Count, sum, least and greatest of a number by a number: binary records of 16 bytes.
view_plan binary_plan() {
  view_plan plan = base_plan();
  plan.layout = record_layout::binary;
  const auto number = [](std::uint32_t offset) {
    return binary_source{.offset = offset, .bytes = 0, .kind = binary_kind::i64};
  };
  plan.fields = {{.name = "group", .type = field_type::int64, .source = number(0)},
                 {.name = "value", .type = field_type::int64, .source = number(8)}};
  plan.group_by = {0};
  plan.aggregates = {{.name = "count", .kind = aggregate_kind::count, .field = {}},
                     {.name = "sum", .kind = aggregate_kind::sum, .field = 1},
                     {.name = "min", .kind = aggregate_kind::min, .field = 1},
                     {.name = "max", .kind = aggregate_kind::max, .field = 1}};
  return plan;
}

struct binary_load {
  std::vector<std::byte> bytes;
  std::vector<record_ref> records;

  binary_load(std::size_t count, std::uint64_t groups) {
    const std::size_t stride = record_stride(4, 16, false);
    bytes.resize(count * stride);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < count; ++i) {
      std::byte data[16];
      store(data, static_cast<std::int64_t>(random() % groups));
      store(data + 8, static_cast<std::int64_t>(random() % 1000));
      const std::string key = std::to_string(1000 + random() % 9000);
      write_record(&bytes[i * stride], key, data, nullptr);
      records.push_back({.bytes = &bytes[i * stride],
                         .stride = static_cast<std::uint32_t>(stride),
                         .key_bytes = 4});
    }
  }
};

result<std::monostate> fold_resident(benchmark::State& state) {
  constexpr std::size_t batches = 8;
  const binary_load load(batches * limits::batch_records_max,
                         static_cast<std::uint64_t>(state.range(0)));
  const shard_map map = shard_map::even(shards);
  cuda_options options;
  options.devices_max = 1;
  options.kept_batches = batches;
  MILLRACE_ASSIGN(const auto router, make_cuda_backend(options));
  MILLRACE_ASSIGN(const auto fold, make_cuda_fold({binary_plan()}, {.devices_max = 1}));
  std::vector<routed_batch> all(batches);
  for (std::size_t b = 0; b < batches; ++b) {
    routed_batch& one = all[b];
    const auto from =
        load.records.begin() + static_cast<std::ptrdiff_t>(b * limits::batch_records_max);
    one.records.assign(from, from + limits::batch_records_max);
    one.prepare(map, true);
    if (!router->submit(one.job)) return error(error_code::exhausted, "no room to route");
    spin_until([&] { return router->poll(one.job); });
    if (one.job.kept == nullptr) return error(error_code::exhausted, "the device kept no batch");
    one.make_block(false);
    one.make_fold(first_arrival_us);
  }
  for (auto _ : state) {
    for (routed_batch& one : all) {
      if (!fold->submit(one.fold)) return error(error_code::exhausted, "no room to fold");
      for (bool done = false; !done;) {
        MILLRACE_ASSIGN(done, fold->poll(one.fold));
      }
    }
  }
  if (all[0].parts[0].counts.folded != limits::batch_records_max) {
    return error(error_code::corrupt, "not every record was folded");
  }
  count(state, load.records.size(), load.bytes.size());
  return std::monostate{};
}

void fold_on_device(benchmark::State& state) {
  failed(state, fold_resident(state));
}

// --- whole batches -------------------------------------------------------------------------------

/// Count, sum, p99 and distinct values by one of 100 thousand users, from JSON.
view_plan json_plan() {
  view_plan plan = base_plan();
  plan.layout = record_layout::json;
  plan.fields = json_fields();
  plan.group_by = {0};
  plan.aggregates = {
      {.name = "count", .kind = aggregate_kind::count, .field = {}},
      {.name = "sum", .kind = aggregate_kind::sum, .field = 1},
      {.name = "p99", .kind = aggregate_kind::approx_percentile, .field = 1, .quantile = 0.99},
      {.name = "distinct", .kind = aggregate_kind::approx_count_distinct, .field = 2}};
  return plan;
}

std::vector<record_ref> references(const records_of_size& load) {
  std::vector<record_ref> all;
  for (const std::uint32_t offset : load.offsets) {
    const record_view view(&load.bytes[offset]);
    all.push_back({.bytes = view.bytes(),
                   .stride = view.stride(),
                   .key_bytes = static_cast<std::uint16_t>(view.key().size())});
  }
  return all;
}

/// So many batches make one window.
constexpr int window_batches = 16;

/// One window from records in host memory to rows in host memory: as many batches on their way as
/// `slots` has, each folded when it is routed, and the window closed.
result<std::uint64_t> one_window(backend& router, window_fold& fold, const shard_map& map,
                                 std::vector<routed_batch>& slots, bool copies,
                                 std::uint64_t arrival_us) {
  std::deque<routed_batch*> routing;
  int started = 0;
  for (int folded = 0; folded < window_batches;) {
    while (started < window_batches && routing.size() < slots.size()) {
      routed_batch& next = slots[static_cast<std::size_t>(started) % slots.size()];
      next.prepare(map, !copies);
      if (!router.submit(next.job)) break;
      routing.push_back(&next);
      ++started;
    }
    routed_batch& first = *routing.front();
    spin_until([&] { return router.poll(first.job); });
    routing.pop_front();
    first.make_block(copies);
    first.make_fold(arrival_us);
    if (!fold.submit(first.fold)) return error(error_code::exhausted, "no room to fold");
    for (bool done = false; !done;) {
      MILLRACE_ASSIGN(done, fold.poll(first.fold));
    }
    first.fold.device.reset();
    first.job.kept.reset();
    ++folded;
  }
  window_rows rows;
  const auto end = static_cast<std::int64_t>(arrival_us) + window_us;
  MILLRACE_TRY(fold.close(0, end, rows));
  if (rows.rows.empty()) return error(error_code::corrupt, "the window has no rows");
  return rows.rows.size();
}

result<std::monostate> whole_on_device(benchmark::State& state) {
  const records_of_size load = json_records(static_cast<std::uint32_t>(state.range(0)));
  const shard_map map = shard_map::even(shards);
  cuda_options options;
  options.devices_max = 1;
  MILLRACE_ASSIGN(const auto router, make_cuda_backend(options));
  MILLRACE_ASSIGN(const auto fold, make_cuda_fold({json_plan()}, {.devices_max = 1}));
  std::vector<routed_batch> slots(options.slots);
  for (routed_batch& one : slots)
    one.records = references(load);
  std::uint64_t arrival_us = first_arrival_us;
  std::uint64_t rows = 0;
  for (auto _ : state) {
    MILLRACE_ASSIGN(rows, one_window(*router, *fold, map, slots, false, arrival_us));
    arrival_us += 2 * window_us;
  }
  state.counters["rows"] = static_cast<double>(rows);
  count(state, load.offsets.size() * window_batches, load.bytes.size() * window_batches);
  return std::monostate{};
}

void whole_cuda(benchmark::State& state) {
  failed(state, whole_on_device(state));
}

/// The same on all cores: a thread each, with batches, windows and clocks of its own.
void whole_cpu(benchmark::State& state) {
  const records_of_size load = json_records(static_cast<std::uint32_t>(state.range(0)));
  const shard_map map = shard_map::even(shards);
  const auto level = choose_simd();
  if (failed(state, level)) return;
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  struct worker {
    std::unique_ptr<backend> router;
    std::unique_ptr<window_fold> fold;
    std::vector<routed_batch> slots{1};
    std::string failure;
  };
  std::vector<worker> workers(cores);
  for (worker& one : workers) {
    one.router = std::make_unique<cpu_backend>(*level);
    auto fold = make_cpu_fold({json_plan()});
    if (failed(state, fold)) return;
    one.fold = *std::move(fold);
    one.slots[0].records = references(load);
  }
  std::uint64_t arrival_us = first_arrival_us;
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (worker& one : workers) {
      threads.emplace_back([&] {
        const auto rows = one_window(*one.router, *one.fold, map, one.slots, true, arrival_us);
        if (!rows.ok()) one.failure = rows.failure().message();
      });
    }
    for (std::thread& one : threads)
      one.join();
    arrival_us += 2 * window_us;
  }
  for (const worker& one : workers)
    if (!one.failure.empty()) return state.SkipWithError(one.failure.c_str());
  state.counters["cores"] = static_cast<double>(cores);
  count(state, load.offsets.size() * window_batches * cores,
        load.bytes.size() * window_batches * cores);
}

}  // namespace

void register_fold_benchmarks() {
  benchmark::RegisterBenchmark("fold/resident", fold_on_device)
      ->ArgNames({"groups"})
      ->ArgsProduct({{1, 8, 1000, 100'000, 1'000'000}})
      ->UseRealTime();
  const auto sizes = [](benchmark::internal::Benchmark* one) {
    one->ArgNames({"record"})->ArgsProduct({{100, 300, 1024}})->UseRealTime();
  };
  sizes(benchmark::RegisterBenchmark("whole/cuda", whole_cuda));
  sizes(benchmark::RegisterBenchmark("whole/all_cores", whole_cpu));
}

}  // namespace millrace
