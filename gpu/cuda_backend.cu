// The backend over all devices: which one takes a batch, and what happens when one fails.
#include <algorithm>
#include <mutex>

#include "gpu/cpu_backend.h"
#include "gpu/cuda_backend.h"
#include "gpu/cuda_check.cuh"
#include "gpu/cuda_route_device.cuh"

namespace millrace {
namespace {

/// Memory of the host's that the devices may read, as long as this lives.
class registered_memory {
 public:
  registered_memory() = default;
  registered_memory(const registered_memory&) = delete;
  registered_memory& operator=(const registered_memory&) = delete;
  ~registered_memory() {
    if (!memory_.empty())
      MILLRACE_CUDA_DESTROY(cudaHostUnregister(const_cast<std::byte*>(memory_.data())));
  }
  status add(byte_view memory) {
    MILLRACE_CUDA_TRY_ALLOCATE(cudaHostRegister(const_cast<std::byte*>(memory.data()),
                                                memory.size(), cudaHostRegisterPortable),
                               memory.size(), "record memory to be pinned");
    memory_ = memory;
    return {};
  }
  byte_view memory() const { return memory_; }

 private:
  byte_view memory_;
};

class cuda_backend final : public backend {
 public:
  static result<std::unique_ptr<backend>> create(const cuda_options& options);
  cuda_backend(simd_level level, const cuda_options& options) : options_(options), cpu_(level) {}

  bool submit(route_job& job) override;
  bool poll(route_job& job) override;
  std::string describe() const override;
  backend_health health() const override;

 private:
  struct device_place {
    cuda_route_device device;
    bool is_lost = false;
  };
  void note_fault(device_place& where, const error& what);
  void route_here(route_job& job);
  bool fits(const batch_layout& layout) const {
    return layout.records <= options_.batch_records_max &&
           layout.record_bytes <= options_.batch_bytes_max;
  }

  const cuda_options options_;
  registered_memory registered_;  // longer than the devices that read it
  std::vector<device_place> devices_;
  std::size_t next_ = 0;  // who gets the next batch
  cpu_backend cpu_;
  std::vector<const route_job*> done_;  // routed by the CPU, not yet polled
  std::size_t in_flight_ = 0;
  std::size_t jobs_max_ = 0;
  std::string description_;

  mutable std::mutex mutex_;
  backend_health health_;
};

result<std::unique_ptr<backend>> cuda_backend::create(const cuda_options& options) {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return error(error_code::unsupported, cudaGetErrorString(code));
  }
  MILLRACE_ASSIGN(const simd_level level, choose_simd());
  auto made = std::make_unique<cuda_backend>(level, options);
  if (options.transfer == cuda_transfer::loaded) {
    MILLRACE_TRY(made->registered_.add(options.record_memory));
  }
  const int used = std::min(count, static_cast<int>(options.devices_max));
  for (int device = 0; device < used; ++device) {
    auto one = cuda_route_device::create(device, options, made->registered_.memory());
    if (!one.ok()) {
      if (used == 1 || (device + 1 == used && made->devices_.empty()))
        return std::move(one).failure().with_context("device " + std::to_string(device));
      made->health_.fault = "device " + std::to_string(device) + ": " + one.failure().message();
      ++made->health_.faults;
      continue;
    }
    made->devices_.push_back({.device = *std::move(one), .is_lost = false});
  }
  made->jobs_max_ = std::size_t{options.slots} * made->devices_.size();
  made->done_.reserve(made->jobs_max_);
  const std::size_t devices = made->devices_.size();
  made->description_ = "cuda (" + made->devices_.front().device.name() +
                       (devices > 1 ? ", " + std::to_string(devices) + " devices" : "") + ")";
  return std::unique_ptr<backend>(std::move(made));
}

void cuda_backend::route_here(route_job& job) {
  const bool routed = cpu_.submit(job) && cpu_.poll(job);
  MILLRACE_CHECK(routed, "the CPU routes at once");
  std::lock_guard lock(mutex_);
  ++health_.batches_moved;
}

void cuda_backend::note_fault(device_place& where, const error& what) {
  where.is_lost = !where.device.is_alive();
  std::lock_guard lock(mutex_);
  ++health_.faults;
  health_.fault = "device " + std::to_string(where.device.device()) +
                  (where.is_lost ? " is lost: " : ": ") + what.message();
}

bool cuda_backend::submit(route_job& job) {
  if (in_flight_ == jobs_max_) return false;
  ++in_flight_;
  job.kept.reset();
  job.gathered.reset();
  const batch_layout layout = layout_of(job);
  for (std::size_t i = 0; i < devices_.size() && fits(layout); ++i) {
    const std::size_t place = (next_ + i) % devices_.size();
    device_place& one = devices_[place];
    if (one.is_lost || !one.device.has_room()) continue;
    next_ = (place + 1) % devices_.size();
    const status begun = one.device.start(job, layout);
    if (begun.ok()) return true;
    note_fault(one, begun.failure());
    break;
  }
  // Too large, no device left, or the only free slots wait for the end of what failed.
  route_here(job);
  done_.push_back(&job);
  return true;
}

bool cuda_backend::poll(route_job& job) {
  if (const auto here = std::find(done_.begin(), done_.end(), &job); here != done_.end()) {
    done_.erase(here);
    --in_flight_;
    return true;
  }
  for (device_place& one : devices_) {
    if (!one.device.holds(job)) continue;
    const result<bool> ended = one.device.finish(job);
    if (ended.ok() && !*ended) return false;
    if (!ended.ok()) {
      note_fault(one, ended.failure());
      route_here(job);
    }
    --in_flight_;
    return true;
  }
  return false;
}

std::string cuda_backend::describe() const {
  return description_;
}

backend_health cuda_backend::health() const {
  std::lock_guard lock(mutex_);
  return health_;
}

}  // namespace

bool has_cuda_build() {
  return true;
}

result<std::unique_ptr<backend>> make_cuda_backend(const cuda_options& options) {
  return cuda_backend::create(options);
}

}  // namespace millrace
