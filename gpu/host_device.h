#pragma once
/// Arithmetic that the CPU and the GPU share is written once, as inline functions marked
/// MILLRACE_HOST_DEVICE; the CPU's tests cover the very lines that the GPU runs.

#if defined(__CUDACC__)
#define MILLRACE_HOST_DEVICE __host__ __device__
#else
#define MILLRACE_HOST_DEVICE
#endif
