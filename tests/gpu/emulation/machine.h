#pragma once
/// What the emulated machine consists of, for its own files: devices with memory, streams that run
/// later, events, faults. One thread.
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/gpu/emulation/control.h"
#include "tests/gpu/emulation/cuda_runtime.h"

struct emulated_event {
  std::uint64_t recorded = 0;  // how often it was asked for
  std::uint64_t reached = 0;   // how often its place in a stream has come
  int device = 0;
};

struct emulated_stream {
  struct item {
    std::function<cudaError_t()> work;  // or
    emulated_event* wait = nullptr;
    std::uint64_t until = 0;
  };
  std::deque<item> items;
  int device = 0;
};

namespace millrace::emulation {

inline constexpr std::size_t guard_bytes = 256;
inline constexpr unsigned char guard_byte = 0xdb;

struct device {
  char* memory = nullptr;
  std::size_t bytes = 0;
  std::map<std::size_t, std::size_t> allocations;  // from, bytes
  cudaError_t broken = cudaSuccess;                // of every call from now on
  statistics counts;
};

struct pending_fault {
  fault what;
  int device;
  int after;
};

struct machine {
  settings how;
  std::vector<device> devices;
  std::vector<std::unique_ptr<emulated_stream>> streams;
  std::vector<std::unique_ptr<emulated_event>> events;
  std::map<const char*, std::size_t> pinned;      // by cudaHostAlloc
  std::map<const char*, std::size_t> registered;  // by cudaHostRegister
  std::vector<pending_fault> faults;
  std::vector<std::string> findings;
  cudaError_t last = cudaSuccess;
  int current = 0;
};
extern machine all;

cudaError_t fail(cudaError_t code);
/// Whether the fault is due now.
bool strikes(fault what);
device& here_device();
/// What every call begins with: an error when there is no driver, no device, or it is broken.
cudaError_t health();
#define MILLRACE_HEALTH() \
  if (const cudaError_t bad = health(); bad != cudaSuccess) return bad
void open_memory(device& of, bool open);
/// A few steps of the machine, of streams of chance. With `all_steps`: as long as anything can run.
void advance(bool all_steps);
bool within(const std::map<const char*, std::size_t>& ranges, const void* at, std::size_t bytes);
bool on_device(const void* at, std::size_t bytes);

}  // namespace millrace::emulation
