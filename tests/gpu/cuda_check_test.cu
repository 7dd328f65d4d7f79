// The three ways in which errors of CUDA's calls are dealt with.
#include <gtest/gtest.h>

#include "gpu/cuda_check.cuh"
#include "tests/gpu/emulation/control.h"

namespace millrace {
namespace {

status tried(cudaError_t code, bool& went_on) {
  MILLRACE_CUDA_TRY(code);
  went_on = true;
  return {};
}

status allocated(cudaError_t code) {
  MILLRACE_CUDA_TRY_ALLOCATE(code, 4096, "shard maps");
  return {};
}

TEST(cuda_try, returns_the_error_with_the_call_and_cudas_name_for_it) {
  emulation::reset();
  bool went_on = false;
  EXPECT_TRUE(tried(cudaSuccess, went_on).ok());
  EXPECT_TRUE(went_on);
  went_on = false;
  const status failed = tried(cudaErrorLaunchFailure, went_on);
  EXPECT_FALSE(went_on);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.failure().code(), error_code::unavailable);
  EXPECT_EQ(failed.failure().message(),
            "code: unspecified launch failure (cudaErrorLaunchFailure)");
}

TEST(cuda_try, leaves_no_error_behind_for_the_next_question) {
  emulation::reset();
  emulation::inject(emulation::fault::out_of_memory);
  void* memory = nullptr;
  const auto allocate = [&]() -> status {
    MILLRACE_CUDA_TRY(cudaMalloc(&memory, 16));
    return {};
  };
  EXPECT_FALSE(allocate().ok());
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(cuda_try_allocate, says_what_the_memory_was_for_and_how_much) {
  emulation::reset();
  EXPECT_TRUE(allocated(cudaSuccess).ok());
  const status failed = allocated(cudaErrorMemoryAllocation);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.failure().code(), error_code::exhausted);
  EXPECT_EQ(failed.failure().message(),
            "4096 bytes of shard maps: code: out of memory (cudaErrorMemoryAllocation)");
}

TEST(cuda_destroy, goes_on_and_clears_the_error) {
  emulation::reset();
  int local = 0;
  MILLRACE_CUDA_DESTROY(cudaFree(&local));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

}  // namespace
}  // namespace millrace
