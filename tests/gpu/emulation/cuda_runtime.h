#pragma once
/// Stands for CUDA's own header of this name where the .cu files are compiled for the emulated
/// machine (control.h): as much of the runtime's interface as gpu/ uses, by CUDA's names.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#include "base/types.h"
#include "tests/gpu/emulation/fibers.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__
// In a section of its own, so that it can be filled with noise before each block.
#define __shared__ static __attribute__((section("millrace_shared")))

// --- the runtime's interface --------------------------------------------------------------------

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNotReady = 600,
  cudaErrorLaunchOutOfResources = 701,
  cudaErrorHostMemoryAlreadyRegistered = 712,
  cudaErrorLaunchFailure = 719,
  cudaErrorDevicesUnavailable = 46,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrClockRate = 13,
  cudaDevAttrMemoryClockRate = 36,
  cudaDevAttrGlobalMemoryBusWidth = 37,
  cudaDevAttrL2CacheSize = 38,
};
struct emulated_stream;
struct emulated_event;
using cudaStream_t = emulated_stream*;
using cudaEvent_t = emulated_event*;
inline constexpr unsigned cudaStreamNonBlocking = 1;
inline constexpr unsigned cudaEventDisableTiming = 2;
inline constexpr unsigned cudaEventDefault = 0;
inline constexpr unsigned cudaHostAllocDefault = 0;
inline constexpr unsigned cudaHostRegisterPortable = 1;

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct cudaLaunchAttribute {};
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};
struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
};

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaMalloc(void** at, std::size_t bytes);
cudaError_t cudaFree(void* at);
cudaError_t cudaHostAlloc(void** at, std::size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* at);
cudaError_t cudaHostRegister(void* at, std::size_t bytes, unsigned flags);
cudaError_t cudaHostUnregister(void* at);
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaGetLastError();
const char* cudaGetErrorName(cudaError_t code);
const char* cudaGetErrorString(cudaError_t code);

namespace millrace::emulation {
/// A piece of work for `stream`'s device, in the stream's order.
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work);
cudaError_t enqueue_launch(const cudaLaunchConfig_t& config, std::function<void()> kernel);
}  // namespace millrace::emulation

template <class... Expected, class... Actual>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...),
                               Actual&&... arguments) {
  std::tuple<std::decay_t<Expected>...> copies(arguments...);
  return millrace::emulation::enqueue_launch(*config,
                                             [kernel, copies] { std::apply(kernel, copies); });
}

// --- what a kernel may call ---------------------------------------------------------------------

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);
inline void __threadfence() {
  millrace::emulation::may_stop();
}
inline void __threadfence_block() {
  millrace::emulation::may_stop();
}

namespace millrace::emulation {
template <class Value>
std::uint64_t to_bits(Value value) {
  static_assert(sizeof(Value) <= 8 && std::is_trivially_copyable_v<Value>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class Value>
Value from_bits(std::uint64_t bits) {
  Value value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline unsigned lane() {
  return threadIdx.x % 32;
}
template <class Value>
Value shuffle(unsigned mask, Value value, unsigned from, const char* operation) {
  const lane_values all = exchange(mask, to_bits(value), operation);
  if (from >= 32) return value;
  if ((mask >> from & 1) == 0)
    fail_kernel(std::string(operation) + " from a lane outside the mask");
  return from_bits<Value>(all.of[from]);
}
}  // namespace millrace::emulation

template <class Value>
Value __shfl_sync(unsigned mask, Value value, int from) {
  return millrace::emulation::shuffle(mask, value, static_cast<unsigned>(from) % 32, "__shfl_sync");
}
template <class Value>
Value __shfl_up_sync(unsigned mask, Value value, unsigned by) {
  const unsigned lane = millrace::emulation::lane();
  return millrace::emulation::shuffle(mask, value, lane >= by ? lane - by : 32, "__shfl_up_sync");
}
template <class Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned by) {
  return millrace::emulation::shuffle(mask, value, millrace::emulation::lane() + by,
                                      "__shfl_down_sync");
}
template <class Value>
Value __shfl_xor_sync(unsigned mask, Value value, unsigned with) {
  return millrace::emulation::shuffle(mask, value, millrace::emulation::lane() ^ with,
                                      "__shfl_xor_sync");
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  const auto all = millrace::emulation::exchange(mask, vote ? 1 : 0, "__ballot_sync");
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    votes |= static_cast<unsigned>(all.of[lane]) << lane;
  return votes;
}
inline bool __any_sync(unsigned mask, bool vote) {
  return __ballot_sync(mask, vote) != 0;
}
inline bool __all_sync(unsigned mask, bool vote) {
  return __ballot_sync(mask, vote) == mask;
}
template <class Value>
unsigned __match_any_sync(unsigned mask, Value value) {
  const std::uint64_t own = millrace::emulation::to_bits(value);
  const auto all = millrace::emulation::exchange(mask, own, "__match_any_sync");
  unsigned peers = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1) != 0 && all.of[lane] == own) peers |= 1u << lane;
  return peers;
}
template <class Value, class Combine>
Value millrace_reduce(unsigned mask, Value value, Combine combine, const char* operation) {
  const auto all =
      millrace::emulation::exchange(mask, millrace::emulation::to_bits(value), operation);
  bool any = false;
  Value result{};
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const Value one = millrace::emulation::from_bits<Value>(all.of[lane]);
    result = any ? combine(result, one) : one;
    any = true;
  }
  return result;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value) {
  return millrace_reduce(mask, value, std::plus<unsigned>(), "__reduce_add_sync");
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
  return millrace_reduce(mask, value, std::bit_or<unsigned>(), "__reduce_or_sync");
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value) {
  return millrace_reduce(
      mask, value, [](unsigned a, unsigned b) { return a > b ? a : b; }, "__reduce_max_sync");
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value) {
  return millrace_reduce(
      mask, value, [](unsigned a, unsigned b) { return a < b ? a : b; }, "__reduce_min_sync");
}
inline unsigned __activemask() {
  return millrace::emulation::lanes_alive();
}

inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
  const std::uint64_t both = static_cast<std::uint64_t>(high) << 32 | low;
  return static_cast<unsigned>(both >> (by & 31));
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<millrace::uint128>(a) * b) >> 64);
}
template <class Value>
Value __ldg(const Value* at) {
  return *at;
}

namespace millrace::emulation {
// In one piece: the compiler puts no marks into it.
template <class Value, class Change>
__attribute__((noinline, no_sanitize("thread"))) Value change(Value* at, Change change) {
  note_access(at, sizeof(Value), access::atomic);
  Value old;
  std::memcpy(&old, at, sizeof old);
  const Value next = change(old);
  std::memcpy(at, &next, sizeof next);
  return old;
}
}  // namespace millrace::emulation

#define MILLRACE_ATOMIC(name, type, expression)                                               \
  inline type name(type* at, type value) {                                                    \
    return millrace::emulation::change(at, [value](type old) -> type { return expression; }); \
  }
MILLRACE_ATOMIC(atomicAdd, int, old + value)
MILLRACE_ATOMIC(atomicAdd, unsigned, old + value)
MILLRACE_ATOMIC(atomicAdd, unsigned long long, old + value)
MILLRACE_ATOMIC(atomicAdd, double, old + value)
MILLRACE_ATOMIC(atomicMin, int, value < old ? value : old)
MILLRACE_ATOMIC(atomicMin, unsigned, value < old ? value : old)
MILLRACE_ATOMIC(atomicMin, long long, value < old ? value : old)
MILLRACE_ATOMIC(atomicMin, unsigned long long, value < old ? value : old)
MILLRACE_ATOMIC(atomicMax, int, value > old ? value : old)
MILLRACE_ATOMIC(atomicMax, unsigned, value > old ? value : old)
MILLRACE_ATOMIC(atomicMax, long long, value > old ? value : old)
MILLRACE_ATOMIC(atomicMax, unsigned long long, value > old ? value : old)
MILLRACE_ATOMIC(atomicOr, unsigned, old | value)
MILLRACE_ATOMIC(atomicOr, unsigned long long, old | value)
MILLRACE_ATOMIC(atomicXor, unsigned, old ^ value)
MILLRACE_ATOMIC(atomicExch, unsigned, (static_cast<void>(old), value))
MILLRACE_ATOMIC(atomicExch, unsigned long long, (static_cast<void>(old), value))
#undef MILLRACE_ATOMIC
inline unsigned atomicCAS(unsigned* at, unsigned expected, unsigned value) {
  return millrace::emulation::change(at,
                                     [=](unsigned old) { return old == expected ? value : old; });
}
inline unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected,
                                    unsigned long long value) {
  return millrace::emulation::change(
      at, [=](unsigned long long old) { return old == expected ? value : old; });
}
