#pragma once
/// Arithmetic that the CPU and the GPU share is written once, as inline functions marked
/// MILLRACE_HOST_DEVICE; the CPU's tests cover the very lines that the GPU runs.

#if defined(__CUDACC__)
#define MILLRACE_HOST_DEVICE __host__ __device__
/// Called by kernels, never taken into them: for what several places call, or few records need.
/// Kernels are smaller, compile sooner, and leave more registers to what is common.
#define MILLRACE_HOST_DEVICE_CALLED __host__ __device__ __noinline__
#else
#define MILLRACE_HOST_DEVICE
#define MILLRACE_HOST_DEVICE_CALLED
#endif
