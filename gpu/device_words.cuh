#pragma once
/// Memory words that many threads change (aggregate.h's Words): in a device's memory or in a
/// block's shared memory. Also reads and writes that other threads of the same kernel may meet.
#include <cstdint>

#include "gpu/aggregate.h"
#include "gpu/ordered_bits.h"

namespace millrace {

using atomic_word = unsigned long long;

__device__ inline atomic_word* as_atomic(std::uint64_t* at) {
  return reinterpret_cast<atomic_word*>(at);
}
/// What is there now, never what this thread remembers of it.
__device__ inline std::uint64_t load_now(const std::uint64_t* at) {
  return *static_cast<const volatile std::uint64_t*>(at);
}
__device__ inline std::uint32_t load_now(const std::uint32_t* at) {
  return *static_cast<const volatile std::uint32_t*>(at);
}
__device__ inline void store_now(std::uint64_t* at, std::uint64_t value) {
  *static_cast<volatile std::uint64_t*>(at) = value;
}

struct device_words {
  static __device__ std::uint64_t add(std::uint64_t* at, std::uint64_t x) {
    return atomicAdd(as_atomic(at), static_cast<atomic_word>(x));
  }
  static __device__ double add_double(std::uint64_t* at, double x) {
    return atomicAdd(reinterpret_cast<double*>(at), x);
  }
  // Most values change nothing: to read is cheaper than to exchange.
  static __device__ void least(std::uint64_t* at, std::uint64_t x) {
    if (x < load_now(at)) atomicMin(as_atomic(at), static_cast<atomic_word>(x));
  }
  static __device__ void greatest(std::uint64_t* at, std::uint64_t x) {
    if (x > load_now(at)) atomicMax(as_atomic(at), static_cast<atomic_word>(x));
  }
};

}  // namespace millrace
