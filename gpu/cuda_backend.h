#pragma once
/// The compute backend on CUDA devices. This header needs no CUDA; a build without CUDA has these
/// functions too (cuda_absent.cc). docs/gpu_pipeline.md describes how a batch travels.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "gpu/backend.h"

namespace millrace {

/// How a batch's scattered records reach the device.
enum class cuda_transfer : std::uint8_t {
  copied,  ///< gathered by the CPU into one piece of pinned memory, sent by a copy engine
  loaded,  ///< by the device's own loads out of record_memory, which is registered as pinned
};

struct cuda_options {
  byte_view record_memory{};  ///< `loaded` only; records that lie elsewhere are copied
  cuda_transfer transfer = cuda_transfer::copied;
  std::uint32_t devices_max = 16;
  // Each device:
  std::uint32_t slots = 4;             ///< batches in flight
  std::uint32_t kept_batches = 8;      ///< device copies that may be held for folding
  std::uint32_t gathered_batches = 0;  ///< shard_runs in flight or held; 0: none, and no memory
  std::uint32_t batch_bytes_max = limits::batch_bytes_max;      ///< larger ones go to the CPU
  std::uint32_t batch_records_max = limits::batch_records_max;  ///< the same
};

/// True when CUDA was there at build time; says nothing of this machine.
bool has_cuda_build();

/// Spreads batches over the devices of this machine. No driver, no device, or no memory on any of
/// them is an error. A device that fails later is left out from then on; a batch that it had, and
/// every batch when none is left, is routed by the CPU: no job ever fails.
result<std::unique_ptr<backend>> make_cuda_backend(const cuda_options& options);

}  // namespace millrace
