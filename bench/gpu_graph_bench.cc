// The steps of routing a batch asked for one by one in a stream, beside the same steps recorded
// once as a CUDA graph and asked for in one call. Shapes are fixed, as a graph's are: this is the
// most that a graph could save.
#include <chrono>
#include <numeric>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/gpu_bench.cuh"
#include "gpu/cuda_map_cache.cuh"
#include "gpu/cuda_memory.cuh"
#include "gpu/device_batch.cuh"
#include "gpu/route_kernels.cuh"
#include "gpu/shard_map.h"

namespace millrace {
namespace {

using cuda_graph = cuda_owner<cudaGraph_t, cudaGraphDestroy>;
using cuda_graph_exec = cuda_owner<cudaGraphExec_t, cudaGraphExecDestroy>;

/// One batch, its memory on both sides, and its way.
class fixed_batch {
 public:
  static result<fixed_batch> make(std::uint32_t records, std::uint32_t shards);
  /// Copy up, find shards, partition, copy down.
  status ask() const;
  result<cuda_graph_exec> record() const;
  cudaStream_t stream() const { return stream_.get(); }
  std::size_t bytes() const { return batch_->layout().record_bytes; }

 private:
  std::uint32_t shards_ = 0;
  cuda_stream stream_;
  std::shared_ptr<device_batch> batch_;
  pinned_memory input_, output_, staging_;
  device_memory ascending_, scratch_;
  cuda_map_cache maps_;
  hash_ranges ranges_{};
};

result<fixed_batch> fixed_batch::make(std::uint32_t records, std::uint32_t shards) {
  MILLRACE_CUDA_TRY(cudaSetDevice(0));
  constexpr std::uint32_t record_bytes = 100;
  const records_of_size load(std::size_t{records} * (record_bytes + 8), record_bytes, 16);
  const batch_layout layout{
      .records = records, .shards = shards, .record_bytes = load.bytes.size()};
  fixed_batch made;
  made.shards_ = shards;
  MILLRACE_ASSIGN(made.stream_, make_stream(0));
  MILLRACE_ASSIGN(made.batch_, device_batch::create(0, layout));
  made.batch_->set_layout(layout);
  MILLRACE_ASSIGN(made.input_, allocate_pinned(layout.input_bytes(), 0, "a batch"));
  MILLRACE_ASSIGN(made.output_, allocate_pinned(layout.output_bytes(), 0, "routes"));
  MILLRACE_ASSIGN(made.staging_,
                  allocate_pinned(cuda_map_cache::staging_bytes(), 0, "a shard map"));
  MILLRACE_ASSIGN(made.ascending_, allocate_device(4ull * records, 0, "positions"));
  MILLRACE_ASSIGN(made.scratch_,
                  allocate_device(std::max(sort_scratch_bytes(records, shards),
                                           multisplit_scratch_bytes(records, shards)),
                                  0, "partition"));
  MILLRACE_ASSIGN(made.maps_, cuda_map_cache::create(0, 1));
  const shard_map map = shard_map::even(shards);
  MILLRACE_ASSIGN(const auto* const entry,
                  made.maps_.acquire(map, made.staging_.data(), made.stream()));
  made.ranges_ = entry->ranges;
  auto* const positions = made.input_.as<std::uint32_t>();
  std::iota(positions, positions + records, 0u);
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(made.ascending_.data(), positions, 4ull * records,
                                    cudaMemcpyHostToDevice, made.stream()));
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(made.stream()));
  std::memcpy(made.input_.data() + layout.offsets_at(), load.offsets.data(), 4ull * records);
  std::memcpy(made.input_.data() + layout.bytes_at(), load.bytes.data(), load.bytes.size());
  return made;
}

status fixed_batch::ask() const {
  const device_batch& batch = *batch_;
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(batch.input(), input_.data(), batch.layout().input_bytes(),
                                    cudaMemcpyHostToDevice, stream()));
  MILLRACE_CUDA_TRY(find_shards(batch.records(), ranges_, batch.shard(), stream()));
  if (shards_ <= multisplit_shards_max) {
    MILLRACE_CUDA_TRY(multisplit(batch.records(), batch.shard(), shards_, batch.partition(),
                                 scratch_.data(), stream()));
  } else {
    MILLRACE_CUDA_TRY(
        sort_partition(batch.records(), batch.shard(), ascending_.as<const std::uint32_t>(),
                       shards_, batch.partition(), scratch_.data(), scratch_.bytes(), stream()));
  }
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(output_.data(), batch.output(), batch.layout().output_bytes(),
                                    cudaMemcpyDeviceToHost, stream()));
  return {};
}

result<cuda_graph_exec> fixed_batch::record() const {
  MILLRACE_CUDA_TRY(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
  const status asked = ask();
  cudaGraph_t captured{};
  MILLRACE_CUDA_TRY(cudaStreamEndCapture(stream(), &captured));
  const cuda_graph graph(captured, 0);
  MILLRACE_TRY(asked);
  cudaGraphExec_t made{};
  MILLRACE_CUDA_TRY(cudaGraphInstantiate(&made, graph.get(), 0));
  return cuda_graph_exec(made, 0);
}

result<std::monostate> ask_many(benchmark::State& state, bool as_graph) {
  const auto records = static_cast<std::uint32_t>(state.range(0));
  MILLRACE_ASSIGN(const fixed_batch batch,
                  fixed_batch::make(records, static_cast<std::uint32_t>(state.range(1))));
  cuda_graph_exec graph;
  if (as_graph) {
    MILLRACE_ASSIGN(graph, batch.record());
  }
  constexpr int batches = 32;
  std::chrono::steady_clock::duration asking{};
  for (auto _ : state) {
    const auto from = std::chrono::steady_clock::now();
    for (int i = 0; i < batches; ++i) {
      if (as_graph) {
        MILLRACE_CUDA_TRY(cudaGraphLaunch(graph.get(), batch.stream()));
      } else {
        MILLRACE_TRY(batch.ask());
      }
    }
    asking += std::chrono::steady_clock::now() - from;
    MILLRACE_CUDA_TRY(cudaStreamSynchronize(batch.stream()));
  }
  // What one batch costs the host's thread, while the device's queue is not full.
  state.counters["ask_us"] = std::chrono::duration<double, std::micro>(asking).count() /
                             static_cast<double>(state.iterations() * batches);
  count(state, std::size_t{records} * batches, batch.bytes() * batches);
  return std::monostate{};
}

void ask(benchmark::State& state, bool as_graph) {
  failed(state, ask_many(state, as_graph));
}

}  // namespace

void register_graph_benchmarks() {
  const auto shapes = [](benchmark::internal::Benchmark* one) {
    one->ArgNames({"records", "shards"})
        ->ArgsProduct({{100, 1000, 10'000, 100'000}, {4, 256, 4096}})
        ->UseRealTime();
  };
  shapes(benchmark::RegisterBenchmark("launches/stream", ask, false));
  shapes(benchmark::RegisterBenchmark("launches/graph", ask, true));
}

}  // namespace millrace
