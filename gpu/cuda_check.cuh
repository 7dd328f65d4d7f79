#pragma once
/// What happens to the errors of CUDA's calls: three macros, for the three places they come from.
#include <string>

#include <cuda_runtime.h>

#include "base/error.h"

namespace millrace {

/// "cudaMemcpyAsync(…): out of memory (cudaErrorMemoryAllocation)", and CUDA's memory of its last
/// error cleared, so that the next question is not answered by it.
inline error cuda_error(cudaError_t code, const char* call) {
  static_cast<void>(cudaGetLastError());
  const error_code kind =
      code == cudaErrorMemoryAllocation ? error_code::exhausted : error_code::unavailable;
  return {kind, std::string(call) + ": " + cudaGetErrorString(code) + " (" +
                    cudaGetErrorName(code) + ")"};
}

}  // namespace millrace

/// Returns the error of a call from the enclosing function (which returns a status or a result).
#define MILLRACE_CUDA_TRY(call)                                                   \
  do {                                                                            \
    if (const cudaError_t millrace_code_ = (call); millrace_code_ != cudaSuccess) \
      return ::millrace::cuda_error(millrace_code_, #call);                       \
  } while (false)

/// The same for an allocation: the error says what the memory was for and how much it was.
#define MILLRACE_CUDA_TRY_ALLOCATE(call, bytes, what)                              \
  do {                                                                             \
    if (const cudaError_t millrace_code_ = (call); millrace_code_ != cudaSuccess)  \
      return ::millrace::cuda_error(millrace_code_, #call)                         \
          .with_context(std::to_string(bytes) + " bytes of " + std::string(what)); \
  } while (false)

/// For destructors: nobody can be told, and a device that is lost refuses everything. The error
/// must not stay behind and be taken for that of a later call.
#define MILLRACE_CUDA_DESTROY(call)                                   \
  do {                                                                \
    if ((call) != cudaSuccess) static_cast<void>(cudaGetLastError()); \
  } while (false)
