// Route and stable partition of a batch, as large as the pipeline makes them for that many shards.
// The ceiling is reading every record's first cache line.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/endian.h"
#include "base/limits.h"
#include "gpu/cpu_backend.h"

namespace millrace {
namespace {

/// A batch of records with keys like "user-0000123456" and its outputs.
struct workload {
  std::vector<std::byte> bytes;
  std::vector<record_ref> records;
  std::vector<std::uint16_t> shard;
  std::vector<std::uint32_t> rank;

  workload(std::uint64_t batch_bytes, std::uint32_t record_bytes) {
    const std::size_t stride = align_up(record_bytes, record_alignment);
    const std::size_t count =
        std::min<std::size_t>(batch_bytes / stride, limits::batch_records_max);
    bytes.resize(count * stride);
    records.reserve(count);
    std::mt19937 random(1);
    for (std::size_t i = 0; i < count; ++i) {
      std::string key = std::to_string(random() % 10'000'000);
      key = "user-" + std::string(11 - key.size(), '0') + key;
      const std::vector<std::byte> data(record_bytes - sizeof(record_header) - key.size());
      std::byte* const at = &bytes[i * stride];
      write_record(at, key, data, nullptr);
      records.push_back({.bytes = at,
                         .stride = static_cast<std::uint32_t>(stride),
                         .key_bytes = static_cast<std::uint16_t>(key.size())});
    }
    shard.resize(count);
    rank.resize(count);
  }
};

std::uint64_t batch_bytes(std::uint64_t shards) {
  return std::clamp<std::uint64_t>(shards * limits::batch_bytes_per_shard,
                                   limits::batch_bytes_default, limits::batch_bytes_max);
}

void count_records(benchmark::State& state, const workload& load) {
  const auto records = state.iterations() * load.records.size();
  state.counters["records"] =
      benchmark::Counter(static_cast<double>(records), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * load.bytes.size()));
}

void route(benchmark::State& state, simd_level level) {
  const auto shards = static_cast<std::uint32_t>(state.range(0));
  workload load(batch_bytes(shards), static_cast<std::uint32_t>(state.range(1)));
  const auto map = shard_map::even(shards);
  std::vector<std::uint32_t> shard_records(shards);
  std::vector<std::uint64_t> shard_bytes(shards);
  cpu_backend backend(level);
  route_job job{.records = load.records,
                .map = &map,
                .shard = load.shard,
                .rank = load.rank,
                .shard_records = shard_records,
                .shard_bytes = shard_bytes};
  for (auto _ : state) {
    if (!backend.submit(job) || !backend.poll(job)) state.SkipWithError("not routed");
    benchmark::ClobberMemory();
  }
  count_records(state, load);
}

void touch(benchmark::State& state) {
  const workload all(batch_bytes(static_cast<std::uint64_t>(state.range(0))),
                     static_cast<std::uint32_t>(state.range(1)));
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (const record_ref& record : all.records)
      sum += load<std::uint64_t>(record.bytes + 8);
    benchmark::DoNotOptimize(sum);
  }
  count_records(state, all);
}

int register_all() {
  const auto sizes = [](benchmark::internal::Benchmark* one) {
    one->ArgNames({"shards", "record"})->ArgsProduct({{1, 4, 256, 4096}, {100, 1024}});
  };
  for (const simd_level level : {simd_level::scalar, simd_level::avx2, simd_level::avx512}) {
    if (!has_simd(level)) continue;
    sizes(benchmark::RegisterBenchmark(("route/" + std::string(to_string(level))).c_str(), route,
                                       level));
  }
  sizes(benchmark::RegisterBenchmark("ceiling/touch", touch));
  return 0;
}
[[maybe_unused]] const int registered = register_all();

}  // namespace
}  // namespace millrace
