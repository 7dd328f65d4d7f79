// The emulated machine itself: its memory, its streams' steps, its faults.
#include "tests/gpu/emulation/machine.h"

#include <algorithm>
#include <random>

#include <sys/mman.h>

namespace millrace::emulation {

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

cudaError_t health() {
  if (!all.how.driver.empty()) return fail(cudaErrorInsufficientDriver);
  if (all.devices.empty()) return fail(cudaErrorNoDevice);
  if (strikes(fault::lost_device)) here_device().broken = cudaErrorDevicesUnavailable;
  if (here_device().broken != cudaSuccess) return fail(here_device().broken);
  return cudaSuccess;
}

void open_memory(device& of, bool open) {
  mprotect(of.memory, of.bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

/// Nothing was written past the end of an allocation.
static bool guards_whole(const device& of) {
  for (const auto& [from, bytes] : of.allocations) {
    const char* const guard = of.memory + from + bytes;
    for (std::size_t i = 0; i < guard_bytes; ++i)
      if (static_cast<unsigned char>(guard[i]) != guard_byte) return false;
  }
  return true;
}

/// Runs the first item of a stream, if it can run. False: it waits, or there is none.
static bool run_one(emulated_stream& stream) {
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
