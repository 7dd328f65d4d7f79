#pragma once
/// Owners of what CUDA hands out: memory, streams, events. Move-only. Made once, at start-up; each
/// remembers its device and gives back there.
#include <cstddef>
#include <utility>

#include <cuda_runtime.h>

#include "gpu/cuda_check.cuh"

namespace millrace {

/// A handle of CUDA's with the function that gives it back.
template <class Handle, cudaError_t (*Release)(Handle)>
class cuda_owner {
 public:
  cuda_owner() = default;
  cuda_owner(Handle handle, int device) : handle_(handle), device_(device) {}
  cuda_owner(cuda_owner&& other) noexcept { *this = std::move(other); }
  cuda_owner& operator=(cuda_owner&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(device_, other.device_);
    return *this;
  }
  cuda_owner(const cuda_owner&) = delete;
  cuda_owner& operator=(const cuda_owner&) = delete;
  ~cuda_owner() {
    if (handle_ == Handle{}) return;
    MILLRACE_CUDA_DESTROY(cudaSetDevice(device_));
    MILLRACE_CUDA_DESTROY(Release(handle_));
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_{};
  int device_ = 0;
};

using cuda_stream = cuda_owner<cudaStream_t, cudaStreamDestroy>;
using cuda_event = cuda_owner<cudaEvent_t, cudaEventDestroy>;

/// Of the current device. Streams do not wait for the default stream, events tell no time.
inline result<cuda_stream> make_stream(int device) {
  cudaStream_t made{};
  MILLRACE_CUDA_TRY(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
  return cuda_stream(made, device);
}
inline result<cuda_event> make_event(int device) {
  cudaEvent_t made{};
  MILLRACE_CUDA_TRY(cudaEventCreateWithFlags(&made, cudaEventDisableTiming));
  return cuda_event(made, device);
}

/// Memory of a device, or of the host where the device's copy engines reach it (pinned).
template <cudaError_t (*Release)(void*)>
class cuda_memory {
 public:
  cuda_memory() = default;
  cuda_memory(void* at, std::size_t bytes, int device) : owner_(at, device), bytes_(bytes) {}
  std::byte* data() const { return static_cast<std::byte*>(owner_.get()); }
  std::size_t bytes() const { return bytes_; }
  template <class Value>
  Value* as(std::size_t offset = 0) const {
    return reinterpret_cast<Value*>(data() + offset);
  }

 private:
  cuda_owner<void*, Release> owner_;
  std::size_t bytes_ = 0;
};
using device_memory = cuda_memory<cudaFree>;
using pinned_memory = cuda_memory<cudaFreeHost>;

inline result<device_memory> allocate_device(std::size_t bytes, int device, const char* what) {
  void* made = nullptr;
  MILLRACE_CUDA_TRY_ALLOCATE(cudaMalloc(&made, bytes), bytes, what);
  return device_memory(made, bytes, device);
}
inline result<pinned_memory> allocate_pinned(std::size_t bytes, int device, const char* what) {
  void* made = nullptr;
  MILLRACE_CUDA_TRY_ALLOCATE(cudaHostAlloc(&made, bytes, cudaHostAllocDefault), bytes, what);
  return pinned_memory(made, bytes, device);
}

}  // namespace millrace
