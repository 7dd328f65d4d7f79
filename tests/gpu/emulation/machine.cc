// The runtime's interface, emulated: devices with memory, streams that run later, events, faults.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include <sys/mman.h>

#include "tests/gpu/emulation/control.h"
#include "tests/gpu/emulation/cuda_runtime.h"

struct emulated_event {
  std::uint64_t recorded = 0;  // how often it was asked for
  std::uint64_t reached = 0;   // how often its place in a stream has come
  int device = 0;
};

struct emulated_stream {
  struct item {
    std::function<cudaError_t()> work;  // or
    emulated_event* wait = nullptr;
    std::uint64_t until = 0;
  };
  std::deque<item> items;
  int device = 0;
};

namespace millrace::emulation {
namespace {

constexpr std::size_t guard_bytes = 256;
constexpr unsigned char guard_byte = 0xdb;

struct device {
  char* memory = nullptr;
  std::size_t bytes = 0;
  std::map<std::size_t, std::size_t> allocations;  // from, bytes
  cudaError_t broken = cudaSuccess;                // of every call from now on
  statistics counts;
};

struct pending_fault {
  fault what;
  int device;
  int after;
};

struct machine {
  settings how;
  std::vector<device> devices;
  std::vector<std::unique_ptr<emulated_stream>> streams;
  std::vector<std::unique_ptr<emulated_event>> events;
  std::map<const char*, std::size_t> pinned;      // by cudaHostAlloc
  std::map<const char*, std::size_t> registered;  // by cudaHostRegister
  std::vector<pending_fault> faults;
  std::vector<std::string> findings;
  cudaError_t last = cudaSuccess;
  int current = 0;
};
machine all;

cudaError_t fail(cudaError_t code) {
  all.last = code;
  return code;
}

/// Whether the fault is due now.
bool strikes(fault what) {
  for (auto one = all.faults.begin(); one != all.faults.end(); ++one) {
    if (one->what != what || one->device != all.current) continue;
    if (one->after-- > 0) return false;
    all.faults.erase(one);
    return true;
  }
  return false;
}

device& here_device() {
  return all.devices[static_cast<std::size_t>(all.current)];
}

/// What every call begins with.
cudaError_t health() {
  if (!all.how.driver.empty()) return fail(cudaErrorInsufficientDriver);
  if (all.devices.empty()) return fail(cudaErrorNoDevice);
  if (strikes(fault::lost_device)) here_device().broken = cudaErrorDevicesUnavailable;
  if (here_device().broken != cudaSuccess) return fail(here_device().broken);
  return cudaSuccess;
}
#define MILLRACE_HEALTH() \
  if (const cudaError_t bad = health(); bad != cudaSuccess) return bad

void open_memory(device& of, bool open) {
  mprotect(of.memory, of.bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

/// Nothing was written past the end of an allocation.
bool guards_whole(const device& of) {
  for (const auto& [from, bytes] : of.allocations) {
    const char* const guard = of.memory + from + bytes;
    for (std::size_t i = 0; i < guard_bytes; ++i)
      if (static_cast<unsigned char>(guard[i]) != guard_byte) return false;
  }
  return true;
}

/// Runs the first item of a stream, if it can run. False: it waits, or there is none.
bool run_one(emulated_stream& stream) {
  if (stream.items.empty()) return false;
  emulated_stream::item& first = stream.items.front();
  device& on = all.devices[static_cast<std::size_t>(stream.device)];
  if (first.wait != nullptr) {
    if (first.wait->reached < first.until && on.broken == cudaSuccess) return false;
    stream.items.pop_front();
    return true;
  }
  const auto work = std::move(first.work);
  stream.items.pop_front();
  if (on.broken != cudaSuccess) return true;  // nothing runs there any more
  open_memory(on, true);
  const cudaError_t outcome = work();
  if (!guards_whole(on)) {
    all.findings.push_back("written past the end of an allocation on a device");
    on.broken = cudaErrorLaunchFailure;
  }
  open_memory(on, false);
  if (outcome != cudaSuccess) on.broken = outcome;
  return true;
}

/// A few steps of the machine, of streams of chance. With `all_steps`: as long as anything can run.
void advance(bool all_steps) {
  std::size_t steps = all_steps ? ~std::size_t{0} : draw() % 4;
  std::vector<emulated_stream*> candidates;
  while (steps-- > 0) {
    candidates.clear();
    for (const auto& one : all.streams)
      if (!one->items.empty()) candidates.push_back(one.get());
    std::shuffle(candidates.begin(), candidates.end(), std::mt19937_64(draw()));
    if (std::none_of(candidates.begin(), candidates.end(),
                     [](emulated_stream* one) { return run_one(*one); }))
      return;
  }
}

bool within(const std::map<const char*, std::size_t>& ranges, const void* at, std::size_t bytes) {
  const auto* const from = static_cast<const char*>(at);
  const auto after = ranges.upper_bound(from);
  if (after == ranges.begin()) return false;
  const auto& [start, length] = *std::prev(after);
  return from + bytes <= start + length;
}

bool on_device(const void* at, std::size_t bytes) {
  const device& of = here_device();
  const auto* const byte = static_cast<const char*>(at);
  if (byte < of.memory || byte >= of.memory + of.bytes) return false;
  const auto offset = static_cast<std::size_t>(byte - of.memory);
  const auto after = of.allocations.upper_bound(offset);
  if (after == of.allocations.begin()) return false;
  const auto& [from, length] = *std::prev(after);
  return offset + bytes <= from + length;
}

}  // namespace

void reset(const settings& how) {
  for (device& one : all.devices)
    munmap(one.memory, one.bytes);
  for (const auto& [at, bytes] : all.pinned)
    ::operator delete (const_cast<char*>(at), std::align_val_t{4096});
  all = machine{};
  all.how = how;
  all.devices.resize(how.driver.empty() ? static_cast<std::size_t>(how.devices) : 0);
  for (device& one : all.devices) {
    one.bytes = how.device_bytes;
    one.memory = static_cast<char*>(
        mmap(nullptr, one.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  seed_fibers(how.seed, how.stop_one_in, how.find_races);
}

void inject(fault what, int device, int after) {
  all.faults.push_back({what, device, after});
}

const std::vector<std::string>& findings() {
  return all.findings;
}

void clear_findings() {
  all.findings.clear();
}

statistics count(int device) {
  statistics sum;
  for (std::size_t i = 0; i < all.devices.size(); ++i) {
    if (device >= 0 && static_cast<std::size_t>(device) != i) continue;
    const statistics& one = all.devices[i].counts;
    sum.launches += one.launches;
    sum.allocations += one.allocations;
    sum.synchronising += one.synchronising;
    sum.bytes_up += one.bytes_up;
    sum.bytes_down += one.bytes_down;
    sum.live_allocations += all.devices[i].allocations.size();
  }
  sum.live_allocations += all.pinned.size() + all.registered.size();
  return sum;
}

cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work) {
  MILLRACE_HEALTH();
  if (stream == nullptr || stream->device != all.current) return fail(cudaErrorInvalidValue);
  stream->items.push_back({.work = std::move(work), .wait = nullptr, .until = 0});
  return cudaSuccess;
}

cudaError_t enqueue_launch(const cudaLaunchConfig_t& config, std::function<void()> kernel) {
  MILLRACE_HEALTH();
  if (strikes(fault::failed_launch)) return fail(cudaErrorLaunchOutOfResources);
  if (config.gridDim.x == 0 || config.blockDim.x == 0 || config.blockDim.x > 1024 ||
      config.dynamicSmemBytes != 0)
    return fail(cudaErrorInvalidValue);
  ++here_device().counts.launches;
  const bool dies = strikes(fault::failed_kernel);
  return enqueue(config.stream,
                 [blocks = config.gridDim.x, threads = config.blockDim.x, dies,
                  kernel = std::move(kernel)]() -> cudaError_t {
                   if (dies) return cudaErrorLaunchFailure;
                   const std::string wrong = run_grid(blocks, threads, kernel);
                   if (wrong.empty()) return cudaSuccess;
                   all.findings.push_back(wrong);
                   return cudaErrorLaunchFailure;
                 });
}

}  // namespace millrace::emulation

using namespace millrace::emulation;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (!all.how.driver.empty()) return fail(cudaErrorInsufficientDriver);
  if (all.devices.empty()) return fail(cudaErrorNoDevice);
  *count = static_cast<int>(all.devices.size());
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || static_cast<std::size_t>(device) >= all.devices.size())
    return fail(cudaErrorInvalidDevice);
  all.current = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  std::snprintf(properties->name, sizeof properties->name, "emulated device %d", device);
  properties->totalGlobalMem = all.how.device_bytes;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount      ? 4
           : attribute == cudaDevAttrComputeCapabilityMajor ? 9
                                                            : 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int device) {
  std::snprintf(text, static_cast<std::size_t>(bytes), "ffff:%02x:00.0", device);
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = all.how.driver.empty() ? 13000 : 0;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  MILLRACE_HEALTH();
  *total = *free = here_device().bytes;
  for (const auto& [from, bytes] : here_device().allocations)
    *free -= bytes;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** at, std::size_t bytes) {
  MILLRACE_HEALTH();
  if (strikes(fault::out_of_memory)) return fail(cudaErrorMemoryAllocation);
  device& of = here_device();
  std::size_t from = 0;
  const std::size_t wanted = (bytes + guard_bytes + 511) / 256 * 256;
  for (const auto& [start, length] : of.allocations) {
    if (start - from >= wanted) break;
    from = (start + length + guard_bytes + 255) / 256 * 256;
  }
  if (from + wanted > of.bytes) return fail(cudaErrorMemoryAllocation);
  of.allocations[from] = bytes;
  ++of.counts.allocations;
  open_memory(of, true);
  std::memset(of.memory + from, 0xa5, bytes);  // whatever was there before
  std::memset(of.memory + from + bytes, guard_byte, guard_bytes);
  open_memory(of, false);
  *at = of.memory + from;
  return cudaSuccess;
}
cudaError_t cudaFree(void* at) {
  if (at == nullptr) return cudaSuccess;
  MILLRACE_HEALTH();
  ++here_device().counts.synchronising;
  advance(true);
  for (device& of : all.devices)
    if (at >= of.memory && at < of.memory + of.bytes)
      return of.allocations.erase(static_cast<std::size_t>(static_cast<char*>(at) - of.memory)) == 1
                 ? cudaSuccess
                 : fail(cudaErrorInvalidValue);
  return fail(cudaErrorInvalidValue);
}
cudaError_t cudaHostAlloc(void** at, std::size_t bytes, unsigned) {
  MILLRACE_HEALTH();
  if (strikes(fault::out_of_memory)) return fail(cudaErrorMemoryAllocation);
  auto* const made = static_cast<char*>(::operator new (bytes, std::align_val_t{4096}));
  all.pinned[made] = bytes;
  ++here_device().counts.allocations;
  *at = made;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* at) {
  if (at == nullptr) return cudaSuccess;
  if (all.pinned.erase(static_cast<char*>(at)) == 0) return fail(cudaErrorInvalidValue);
  advance(true);
  ::operator delete (at, std::align_val_t{4096});
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void* at, std::size_t bytes, unsigned) {
  MILLRACE_HEALTH();
  if (strikes(fault::failed_register)) return fail(cudaErrorMemoryAllocation);
  if (within(all.registered, at, 1)) return fail(cudaErrorHostMemoryAlreadyRegistered);
  all.registered[static_cast<char*>(at)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* at) {
  return all.registered.erase(static_cast<char*>(at)) == 1 ? cudaSuccess
                                                           : fail(cudaErrorInvalidValue);
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  MILLRACE_HEALTH();
  if (!within(all.pinned, host, 1) && !within(all.registered, host, 1))
    return fail(cudaErrorInvalidValue);
  *device = host;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  MILLRACE_HEALTH();
  const void* const host = kind == cudaMemcpyHostToDevice ? from : to;
  if (kind != cudaMemcpyDeviceToDevice && !within(all.pinned, host, bytes) &&
      !within(all.registered, host, bytes))
    ++here_device().counts.synchronising;  // as CUDA does with memory that is not pinned
  if ((kind != cudaMemcpyHostToDevice && !on_device(from, bytes)) ||
      (kind != cudaMemcpyDeviceToHost && !on_device(to, bytes)))
    return fail(cudaErrorInvalidValue);
  if (kind == cudaMemcpyHostToDevice) here_device().counts.bytes_up += bytes;
  if (kind == cudaMemcpyDeviceToHost) here_device().counts.bytes_down += bytes;
  return enqueue(stream, [=] {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  });
}
cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream) {
  MILLRACE_HEALTH();
  if (!on_device(at, bytes)) return fail(cudaErrorInvalidValue);
  return enqueue(stream, [=] {
    std::memset(at, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  MILLRACE_HEALTH();
  all.streams.push_back(std::make_unique<emulated_stream>());
  *stream = all.streams.back().get();
  (*stream)->device = all.current;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  advance(true);
  std::erase_if(all.streams, [&](const auto& one) { return one.get() == stream; });
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  MILLRACE_HEALTH();
  ++here_device().counts.synchronising;
  advance(true);
  return here_device().broken;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  MILLRACE_HEALTH();
  stream->items.push_back({.work = {}, .wait = event, .until = event->recorded});
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  MILLRACE_HEALTH();
  all.events.push_back(std::make_unique<emulated_event>());
  *event = all.events.back().get();
  (*event)->device = all.current;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  advance(true);
  std::erase_if(all.events, [&](const auto& one) { return one.get() == event; });
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  MILLRACE_HEALTH();
  ++event->recorded;
  return enqueue(stream, [event, value = event->recorded] {
    event->reached = value;
    return cudaSuccess;
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  MILLRACE_HEALTH();
  advance(false);
  if (here_device().broken != cudaSuccess) return fail(here_device().broken);
  return event->reached == event->recorded ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  MILLRACE_HEALTH();
  ++here_device().counts.synchronising;
  advance(true);
  return here_device().broken;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 0;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t code = all.last;
  all.last = cudaSuccess;
  return code;
}
const char* cudaGetErrorName(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorLaunchOutOfResources:
      return "cudaErrorLaunchOutOfResources";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorDevicesUnavailable:
      return "cudaErrorDevicesUnavailable";
    default:
      return "cudaError";
  }
}
const char* cudaGetErrorString(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return all.how.driver.c_str();
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorLaunchOutOfResources:
      return "too many resources requested for launch";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorDevicesUnavailable:
      return "CUDA-capable device(s) is/are busy or unavailable";
    default:
      return "an error of the emulated machine";
  }
}

__attribute__((noinline)) void __syncthreads() {
  block_barrier(__builtin_return_address(0));
}
void __syncwarp(unsigned mask) {
  exchange(mask, 0, "__syncwarp");
}
