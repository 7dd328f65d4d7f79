// The CUDA side beside its ceilings, on a machine with a GPU: copies between pinned memory and the
// device, keys hashed where they lie, whole batches routed from host memory, and the same on one
// core. Without a GPU it says so and fails.
#include "bench/gpu_bench.cuh"

#include <cstdio>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "gpu/cpu_backend.h"
#include "gpu/cuda_backend.h"
#include "gpu/cuda_memory.cuh"
#include "gpu/device_facts.h"
#include "gpu/extract.h"
#include "gpu/extract_kernels.cuh"
#include "gpu/route_kernels.cuh"
#include "gpu/shard_map.h"

namespace millrace {
namespace {

constexpr std::size_t copy_bytes = 64 * limits::mib;

/// Two streams, each with pinned and device memory.
struct copy_rig {
  cuda_stream streams[2];
  pinned_memory host[2];
  device_memory device[2];

  static result<copy_rig> make() {
    copy_rig made;
    MILLRACE_CUDA_TRY(cudaSetDevice(0));
    for (int i = 0; i < 2; ++i) {
      MILLRACE_ASSIGN(made.streams[i], make_stream(0));
      MILLRACE_ASSIGN(made.host[i], allocate_pinned(copy_bytes, 0, "copies"));
      MILLRACE_ASSIGN(made.device[i], allocate_device(copy_bytes, 0, "copies"));
      std::memset(made.host[i].data(), i, copy_bytes);
    }
    return made;
  }
};

enum class direction { up, down, both, on_device };

void copy(benchmark::State& state, direction which) {
  auto made = copy_rig::make();
  if (failed(state, made)) return;
  copy_rig& rig = *made;
  const auto start = [&](int i, bool up) {
    return up ? cudaMemcpyAsync(rig.device[i].data(), rig.host[i].data(), copy_bytes,
                                cudaMemcpyHostToDevice, rig.streams[i].get())
              : cudaMemcpyAsync(rig.host[i].data(), rig.device[i].data(), copy_bytes,
                                cudaMemcpyDeviceToHost, rig.streams[i].get());
  };
  for (auto _ : state) {
    cudaError_t code = cudaSuccess;
    if (which == direction::on_device) {
      code = cudaMemcpyAsync(rig.device[1].data(), rig.device[0].data(), copy_bytes,
                             cudaMemcpyDeviceToDevice, rig.streams[0].get());
    } else {
      code = start(0, which != direction::down);
      if (code == cudaSuccess && which == direction::both) code = start(1, false);
    }
    if (failed(state, code) || failed(state, cudaStreamSynchronize(rig.streams[0].get())) ||
        failed(state, cudaStreamSynchronize(rig.streams[1].get())))
      return;
  }
  const std::int64_t times = which == direction::both ? 2 : 1;
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * times *
                          static_cast<std::int64_t>(copy_bytes));
}

/// MD5 and range lookup of keys that are on the device already.
result<std::monostate> hash_resident(benchmark::State& state, const records_of_size& load) {
  MILLRACE_CUDA_TRY(cudaSetDevice(0));
  const auto records = static_cast<std::uint32_t>(load.records.size());
  MILLRACE_ASSIGN(const cuda_stream stream, make_stream(0));
  MILLRACE_ASSIGN(const device_memory bytes, allocate_device(load.bytes.size() + 64, 0, "records"));
  MILLRACE_ASSIGN(const device_memory offsets, allocate_device(4ull * records, 0, "offsets"));
  MILLRACE_ASSIGN(const device_memory shards, allocate_device(2ull * records, 0, "shards"));
  const auto map = shard_map::even(static_cast<std::uint32_t>(state.range(1)));
  const hash_ranges host = map.ranges();
  MILLRACE_ASSIGN(const device_memory starts, allocate_device(16ull * map.size(), 0, "map"));
  const std::size_t bucket_bytes = 2 * map.bucket_first().size();
  MILLRACE_ASSIGN(const device_memory buckets, allocate_device(bucket_bytes, 0, "map"));
  const auto send = [&](const device_memory& to, const void* from, std::size_t count) {
    return cudaMemcpyAsync(to.data(), from, count, cudaMemcpyHostToDevice, stream.get());
  };
  MILLRACE_CUDA_TRY(send(bytes, load.bytes.data(), load.bytes.size()));
  MILLRACE_CUDA_TRY(send(offsets, load.offsets.data(), 4ull * records));
  MILLRACE_CUDA_TRY(send(starts, host.starts, 16ull * map.size()));
  MILLRACE_CUDA_TRY(send(buckets, host.bucket_first, bucket_bytes));
  const hash_ranges ranges{.starts = starts.as<const uint128>(),
                           .bucket_first = buckets.as<const std::uint16_t>(),
                           .bucket_bits = host.bucket_bits,
                           .search_steps = host.search_steps};
  constexpr int launches = 32;  // so that the time to start one does not count
  for (auto _ : state) {
    for (int i = 0; i < launches; ++i)
      MILLRACE_CUDA_TRY(find_shards({bytes.data(), offsets.as<const std::uint32_t>(), records},
                                    ranges, shards.as<std::uint16_t>(), stream.get()));
    MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream.get()));
  }
  count(state, load.records.size() * launches, load.bytes.size() * launches);
  return std::monostate{};
}

void hash(benchmark::State& state) {
  const auto key_bytes = static_cast<std::uint32_t>(state.range(0));
  const records_of_size load(limits::batch_bytes_max, key_bytes + 8, key_bytes);
  failed(state, hash_resident(state, load));
}

result<std::monostate> extract_resident(benchmark::State& state) {
  MILLRACE_CUDA_TRY(cudaSetDevice(0));
  const records_of_size load = json_records(static_cast<std::uint32_t>(state.range(0)));
  const std::vector<field_plan> fields = json_fields();
  MILLRACE_ASSIGN(const extractor plan, extractor::compile(record_layout::json, ',', fields));
  const auto records = static_cast<std::uint32_t>(load.offsets.size());
  const std::vector<device_run> one_run{{.first = 0, .shard = 0, .place = 0}};
  MILLRACE_ASSIGN(const cuda_stream stream, make_stream(0));
  const auto send = [&](const void* from, std::size_t count,
                        std::size_t slack) -> result<device_memory> {
    MILLRACE_ASSIGN(device_memory made, allocate_device(count + slack, 0, "input"));
    MILLRACE_CUDA_TRY(
        cudaMemcpyAsync(made.data(), from, count, cudaMemcpyHostToDevice, stream.get()));
    return made;
  };
  MILLRACE_ASSIGN(const device_memory tables, send(plan.tables().data(), plan.tables().size(), 0));
  MILLRACE_ASSIGN(const device_memory bytes, send(load.bytes.data(), load.bytes.size(), 64));
  MILLRACE_ASSIGN(const device_memory offsets, send(load.offsets.data(), 4ull * records, 0));
  MILLRACE_ASSIGN(const device_memory runs, send(one_run.data(), sizeof(device_run), 0));
  MILLRACE_ASSIGN(const device_memory out,
                  allocate_device(sizeof(field_value) * 3 * records, 0, "fields"));
  const fold_records block{.records = {bytes.data(), offsets.as<const std::uint32_t>(), records},
                           .runs = runs.as<const device_run>(),
                           .run_count = 1,
                           .arrival_us = 0,
                           .shard = nullptr,
                           .rank = nullptr,
                           .run_of_ordinal = nullptr};
  for (auto _ : state) {
    MILLRACE_CUDA_TRY(
        extract_fields(block, {tables.data()}, {out.as<field_value>(), records}, stream.get()));
    MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream.get()));
  }
  count(state, records, load.bytes.size());
  return std::monostate{};
}

void extract(benchmark::State& state) {
  failed(state, extract_resident(state));
}

/// Who makes the runs of shards with their CRC32C, if anybody.
enum class runs_by { nobody, host, device };

/// What a log does with six bytes a record: one copy of the records, and the sum of each run.
void make_runs(const route_job& job, std::vector<std::byte>& runs,
               std::vector<std::uint32_t>& crc) {
  std::vector<std::size_t> next(job.shard_bytes.size());
  for (std::size_t s = 1; s < next.size(); ++s)
    next[s] = next[s - 1] + job.shard_bytes[s - 1];
  const std::vector<std::size_t> first = next;
  for (std::size_t i = 0; i < job.records.size(); ++i) {
    std::memcpy(&runs[next[job.shard[i]]], job.records[i].bytes, job.records[i].stride);
    next[job.shard[i]] += job.records[i].stride;
  }
  for (std::size_t s = 0; s < next.size(); ++s)
    crc[s] = crc32c(byte_view(runs).subspan(first[s], job.shard_bytes[s]));
}

/// Whole batches from host memory to routes in host memory, as many in flight as there are slots.
void route(benchmark::State& state, backend& compute, std::size_t in_flight,
           const records_of_size& load, runs_by who = runs_by::nobody) {
  const auto map = shard_map::even(static_cast<std::uint32_t>(state.range(1)));
  struct outputs {
    std::vector<std::uint16_t> shard;
    std::vector<std::uint32_t> rank;
    std::vector<std::uint32_t> shard_records;
    std::vector<std::uint64_t> shard_bytes;
    std::vector<std::byte> runs;
    std::vector<std::uint32_t> run_crc;
    route_job job;
  };
  std::vector<outputs> all(in_flight);
  for (outputs& one : all) {
    one.shard.resize(load.records.size());
    one.rank.resize(load.records.size());
    one.shard_records.resize(map.size());
    one.shard_bytes.resize(map.size());
    if (who == runs_by::host) one.runs.resize(load.bytes.size());
    one.run_crc.resize(map.size());
    one.job = {.records = load.records,
               .map = &map,
               .shard = one.shard,
               .rank = one.rank,
               .shard_records = one.shard_records,
               .shard_bytes = one.shard_bytes,
               .gather = who == runs_by::device};
  }
  for (auto _ : state) {
    for (outputs& one : all)
      if (!compute.submit(one.job)) state.SkipWithError("no room");
    for (outputs& one : all) {
      while (!compute.poll(one.job)) {
      }
      if (who == runs_by::host) make_runs(one.job, one.runs, one.run_crc);
      if (who != runs_by::device) continue;
      if (one.job.gathered == nullptr) return state.SkipWithError("the device gathered no runs");
      benchmark::DoNotOptimize(one.job.gathered->crc32c.front());
      one.job.gathered.reset();
    }
  }
  if (compute.health().faults != 0) state.SkipWithError(compute.health().fault.c_str());
  count(state, load.records.size() * in_flight, load.bytes.size() * in_flight);
}

void route_cuda(benchmark::State& state, cuda_transfer transfer) {
  const records_of_size load(limits::batch_bytes_max, static_cast<std::uint32_t>(state.range(0)),
                             16);
  cuda_options options;
  options.transfer = transfer;
  options.record_memory = load.bytes;
  auto made = make_cuda_backend(options);
  if (failed(state, made)) return;
  route(state, **made, options.slots, load);
}

/// Runs with their CRC32C in the host's memory: by the host from six bytes a record, or whole from
/// the device.
void route_runs(benchmark::State& state, runs_by who) {
  const records_of_size load(limits::batch_bytes_max, static_cast<std::uint32_t>(state.range(0)),
                             16);
  cuda_options options;
  options.devices_max = 1;
  if (who == runs_by::device) options.gathered_batches = options.slots;
  auto made = make_cuda_backend(options);
  if (failed(state, made)) return;
  route(state, **made, options.slots, load, who);
}

void route_cpu(benchmark::State& state) {
  const records_of_size load(limits::batch_bytes_max, static_cast<std::uint32_t>(state.range(0)),
                             16);
  const auto level = choose_simd();
  if (failed(state, level)) return;
  cpu_backend compute(*level);
  route(state, compute, 1, load);
}

void register_all() {
  benchmark::RegisterBenchmark("ceiling/copy_up", copy, direction::up)->UseRealTime();
  benchmark::RegisterBenchmark("ceiling/copy_down", copy, direction::down)->UseRealTime();
  benchmark::RegisterBenchmark("ceiling/copy_both_ways", copy, direction::both)->UseRealTime();
  benchmark::RegisterBenchmark("ceiling/copy_on_device", copy, direction::on_device)->UseRealTime();
  benchmark::RegisterBenchmark("md5/resident", hash)
      ->ArgNames({"key", "shards"})
      ->ArgsProduct({{8, 16, 32, 64, 256}, {4, 4096}})
      ->UseRealTime();
  benchmark::RegisterBenchmark("extract/resident", extract)
      ->ArgNames({"record"})
      ->ArgsProduct({{100, 300, 1024}})
      ->UseRealTime();
  const auto sizes = [](benchmark::internal::Benchmark* one) {
    one->ArgNames({"record", "shards"})
        ->ArgsProduct({{100, 300, 1024}, {1, 256, 4096}})
        ->UseRealTime();
  };
  sizes(benchmark::RegisterBenchmark("route/copied", route_cuda, cuda_transfer::copied));
  sizes(benchmark::RegisterBenchmark("route/loaded", route_cuda, cuda_transfer::loaded));
  sizes(benchmark::RegisterBenchmark("route/one_core", route_cpu));
  sizes(benchmark::RegisterBenchmark("runs/by_one_core", route_runs, runs_by::host));
  sizes(benchmark::RegisterBenchmark("runs/by_device", route_runs, runs_by::device));
  register_graph_benchmarks();
  register_fold_benchmarks();
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  const auto devices = millrace::read_devices();
  if (!devices.ok()) {
    std::fprintf(stderr, "gpu_bench: no GPU: %s\n", devices.failure().message().c_str());
    return 3;
  }
  for (const auto& one : *devices)
    benchmark::AddCustomContext("gpu " + one.pci, one.name + ", " + one.link);
  millrace::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
