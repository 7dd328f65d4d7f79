// CUDA's runtime interface, on the emulated machine.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "tests/gpu/emulation/machine.h"

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
