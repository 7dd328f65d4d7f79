#include <algorithm>
#include <cstring>
#include <numeric>

#include "gpu/cuda_route_device.cuh"

namespace millrace {
namespace {

/// Shard maps kept on a device beyond those in use.
constexpr std::uint32_t idle_maps = 12;

}  // namespace

batch_layout layout_of(const route_job& job) {
  batch_layout layout{.records = static_cast<std::uint32_t>(job.records.size()),
                      .shards = job.map->size(),
                      .record_bytes = 0};
  for (const record_ref& record : job.records)
    layout.record_bytes += record.stride;
  return layout;
}

result<cuda_route_device> cuda_route_device::create(int device, const cuda_options& options,
                                                    byte_view registered) {
  cuda_route_device made;
  made.device_ = device;
  made.options_ = options;
  MILLRACE_CUDA_TRY(cudaSetDevice(device));
  cudaDeviceProp properties;
  MILLRACE_CUDA_TRY(cudaGetDeviceProperties(&properties, device));
  made.name_ = properties.name;
  if (!registered.empty()) {
    auto* const host = const_cast<std::byte*>(registered.data());
    void* seen = nullptr;
    MILLRACE_CUDA_TRY(cudaHostGetDevicePointer(&seen, host, 0));
    made.registered_ = registered;
    made.device_shift_ = static_cast<std::byte*>(seen) - host;
  }

  const std::uint32_t records = options.batch_records_max;
  const batch_layout largest{.records = records,
                             .shards = limits::open_shards_max,
                             .record_bytes = options.batch_bytes_max};
  for (std::uint32_t i = 0; i < options.slots + options.kept_batches; ++i) {
    MILLRACE_ASSIGN(auto one, device_batch::create(device, largest));
    made.batches_.add(std::move(one));
  }
  MILLRACE_ASSIGN(made.maps_, cuda_map_cache::create(device, options.slots + idle_maps));
  const runs_layout largest_runs{.shards = limits::open_shards_max,
                                 .record_bytes = options.batch_bytes_max};
  for (std::uint32_t i = 0; i < options.gathered_batches; ++i) {
    auto one = std::make_shared<gathered_runs>();
    MILLRACE_ASSIGN(one->memory, allocate_pinned(largest_runs.total_bytes(), device, "runs"));
    made.runs_.add(std::move(one));
  }
  const std::size_t scratch_bytes =
      std::max(sort_scratch_bytes(records, limits::open_shards_max),
               multisplit_scratch_bytes(records, multisplit_shards_max));
  made.slots_.resize(options.slots);
  for (slot& one : made.slots_) {
    MILLRACE_ASSIGN(one.stream, make_stream(device));
    MILLRACE_ASSIGN(one.done, make_event(device));
    MILLRACE_ASSIGN(one.input, allocate_pinned(largest.input_bytes(), device, "a batch"));
    MILLRACE_ASSIGN(one.output, allocate_pinned(largest.output_bytes(), device, "routes"));
    MILLRACE_ASSIGN(one.map_input,
                    allocate_pinned(cuda_map_cache::staging_bytes(), device, "a shard map"));
    MILLRACE_ASSIGN(one.scratch, allocate_device(scratch_bytes, device, "partition"));
    if (options.gathered_batches != 0) {
      MILLRACE_ASSIGN(one.gathered,
                      allocate_device(largest_runs.total_bytes(), device, "runs on the device"));
      MILLRACE_ASSIGN(one.gather_scratch,
                      allocate_device(gather_runs_scratch_bytes(records, limits::open_shards_max),
                                      device, "runs' places"));
    }
    if (registered.empty()) continue;
    const std::size_t bytes = sizeof(const std::byte*) * records;
    MILLRACE_ASSIGN(one.sources, allocate_pinned(bytes, device, "addresses"));
    MILLRACE_ASSIGN(one.device_sources, allocate_device(bytes, device, "addresses"));
  }

  const std::size_t bytes = sizeof(std::uint32_t) * records;
  MILLRACE_ASSIGN(made.ascending_, allocate_device(bytes, device, "positions"));
  const slot& first = made.slots_.front();
  std::iota(first.input.as<std::uint32_t>(), first.input.as<std::uint32_t>() + records, 0u);
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(made.ascending_.data(), first.input.data(), bytes,
                                    cudaMemcpyHostToDevice, first.stream.get()));
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(first.stream.get()));
  return std::move(made);
}

bool cuda_route_device::has_room() {
  bool any = false;
  for (slot& one : slots_) {
    if (one.state == slot_state::draining && cudaSetDevice(device_) == cudaSuccess &&
        cudaEventQuery(one.done.get()) == cudaSuccess)
      leave(one);
    any = any || one.state == slot_state::free;
  }
  return any;
}

cuda_route_device::slot* cuda_route_device::find(const route_job& job) const {
  const auto found =
      std::find_if(slots_.begin(), slots_.end(), [&](const slot& one) { return one.job == &job; });
  return found == slots_.end() ? nullptr : &*found;
}

void cuda_route_device::leave(slot& one) {
  if (one.map != nullptr) maps_.release(std::exchange(one.map, nullptr));
  one.batch.reset();
  one.runs.reset();
  one.job = nullptr;
  one.state = slot_state::free;
}

status cuda_route_device::start(route_job& job, const batch_layout& layout) {
  const auto free = std::find_if(slots_.begin(), slots_.end(),
                                 [](const slot& one) { return one.state == slot_state::free; });
  MILLRACE_CHECK(free != slots_.end(), "a job for a device without a free slot");
  slot& one = *free;
  one.job = &job;
  one.state = slot_state::running;
  one.batch = batches_.acquire();
  MILLRACE_CHECK(one.batch != nullptr, "every slot has a device batch");
  one.batch->set_layout(layout);
  status begun = enqueue(one, job, layout);
  if (begun.ok()) return begun;
  // Whatever was started still reads and writes the slot's memory: it is free when that has passed.
  one.job = nullptr;
  one.state = slot_state::draining;
  MILLRACE_CUDA_DESTROY(cudaEventRecord(one.done.get(), one.stream.get()));
  return begun;
}

status cuda_route_device::enqueue(slot& one, route_job& job, const batch_layout& layout) {
  const cudaStream_t stream = one.stream.get();
  MILLRACE_CUDA_TRY(cudaSetDevice(device_));
  MILLRACE_ASSIGN(one.map, maps_.acquire(*job.map, one.map_input.data(), stream));
  MILLRACE_TRY(send(one, job, layout));
  MILLRACE_CUDA_TRY(find_shards(one.batch->records(), one.map->ranges, one.batch->shard(), stream));
  MILLRACE_TRY(partition(one, job));
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.output.data(), one.batch->output(), layout.output_bytes(),
                                    cudaMemcpyDeviceToHost, stream));
  if (job.gather) MILLRACE_TRY(gather(one, layout));
  MILLRACE_CUDA_TRY(cudaEventRecord(one.done.get(), stream));
  return {};
}

status cuda_route_device::gather(slot& one, const batch_layout& layout) {
  one.runs = runs_.acquire();
  if (one.runs == nullptr) return {};
  const runs_layout runs{.shards = layout.shards, .record_bytes = layout.record_bytes};
  const cudaStream_t stream = one.stream.get();
  const run_gather work{.records = one.batch->records(),
                        .record_bytes = static_cast<std::uint32_t>(layout.record_bytes),
                        .shard = one.batch->shard(),
                        .routed = one.batch->partition(),
                        .shards = layout.shards,
                        .bytes = one.gathered.data() + runs.bytes_at(),
                        .crc = one.gathered.as<std::uint32_t>(runs.crc_at())};
  MILLRACE_CUDA_TRY(
      gather_runs(work, one.gather_scratch.data(), one.gather_scratch.bytes(), stream));
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.runs->memory.data(), one.gathered.data(),
                                    runs.total_bytes(), cudaMemcpyDeviceToHost, stream));
  one.runs->view = {
      .bytes = byte_view(one.runs->memory.data() + runs.bytes_at(), layout.record_bytes),
      .crc32c = {one.runs->memory.as<const std::uint32_t>(runs.crc_at()), layout.shards}};
  return {};
}

bool cuda_route_device::is_registered(const record_ref& record) const {
  return record.bytes >= registered_.data() &&
         record.bytes + record.stride <= registered_.data() + registered_.size();
}

status cuda_route_device::send(slot& one, const route_job& job, const batch_layout& layout) {
  if (layout.records == 0) return {};
  const cudaStream_t stream = one.stream.get();
  auto* const offsets = one.input.as<std::uint32_t>(layout.offsets_at());
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < job.records.size(); ++i) {
    offsets[i] = at;
    at += job.records[i].stride;
  }
  const bool is_loaded = !registered_.empty() && std::all_of(job.records.begin(), job.records.end(),
                                                             [&](const record_ref& record) {
                                                               return is_registered(record);
                                                             });
  if (is_loaded) {
    auto* const sources = one.sources.as<const std::byte*>();
    for (std::size_t i = 0; i < job.records.size(); ++i)
      sources[i] = job.records[i].bytes + device_shift_;
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.batch->input(), one.input.data(), layout.bytes_at(),
                                      cudaMemcpyHostToDevice, stream));
    MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.device_sources.data(), one.sources.data(),
                                      sizeof(const std::byte*) * job.records.size(),
                                      cudaMemcpyHostToDevice, stream));
    MILLRACE_CUDA_TRY(gather_records(one.device_sources.as<const std::byte* const>(),
                                     one.batch->records().offsets, layout.records,
                                     one.batch->bytes(), stream));
    return {};
  }
  std::byte* to = one.input.data() + layout.bytes_at();
  for (const record_ref& record : job.records) {
    std::memcpy(to, record.bytes, record.stride);
    to += record.stride;
  }
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(one.batch->input(), one.input.data(), layout.input_bytes(),
                                    cudaMemcpyHostToDevice, stream));
  return {};
}

status cuda_route_device::partition(slot& one, const route_job& job) {
  const cudaStream_t stream = one.stream.get();
  const device_batch& batch = *one.batch;
  if (job.map->size() <= multisplit_shards_max) {
    MILLRACE_CUDA_TRY(multisplit(batch.records(), batch.shard(), job.map->size(), batch.partition(),
                                 one.scratch.data(), stream));
  } else {
    MILLRACE_CUDA_TRY(sort_partition(
        batch.records(), batch.shard(), ascending_.as<const std::uint32_t>(), job.map->size(),
        batch.partition(), one.scratch.data(), one.scratch.bytes(), stream));
  }
  return {};
}

result<bool> cuda_route_device::finish(route_job& job) {
  slot* const one = find(job);
  MILLRACE_CHECK(one != nullptr, "a job that is not here");
  cudaError_t code = cudaSetDevice(device_);
  if (code == cudaSuccess) code = cudaEventQuery(one->done.get());
  if (code == cudaErrorNotReady) return false;
  if (code != cudaSuccess) {
    one->job = nullptr;
    one->state = slot_state::draining;
    return cuda_error(code, "a batch on the device");
  }
  const batch_layout& layout = one->batch->layout();
  const auto copy_out = [&](auto into, std::size_t offset) {
    if (!into.empty()) {
      std::memcpy(into.data(), one->output.data() + offset, into.size_bytes());
    }
  };
  copy_out(job.shard, layout.shard_at());
  copy_out(job.rank, layout.rank_at());
  copy_out(job.shard_records, layout.shard_records_at());
  copy_out(job.shard_bytes, layout.shard_bytes_at());
  // Every slot must find a batch whatever is held outside.
  const auto slots = static_cast<std::uint32_t>(slots_.size());
  const auto running = static_cast<std::uint32_t>(std::count_if(
      slots_.begin(), slots_.end(), [](const slot& s) { return s.batch != nullptr; }));
  if (job.keep && batches_.free_count() + running > slots) {
    one->batch->set_parts(job.shard_records);
    job.kept = one->batch;
  }
  if (one->runs != nullptr) job.gathered = {one->runs, &one->runs->view};
  leave(*one);
  return true;
}

bool cuda_route_device::is_alive() const {
  if (cudaSetDevice(device_) != cudaSuccess) return false;
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  const bool answers = cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess;
  static_cast<void>(cudaGetLastError());
  return answers;
}

}  // namespace millrace
