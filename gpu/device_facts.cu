#include <algorithm>
#include <charconv>
#include <fstream>

#include <cuda_runtime.h>

#include "gpu/cuda_check.cuh"
#include "gpu/device_facts.h"

namespace millrace {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// "32.0 GT/s PCIe" and "16" as the kernel has them, of the device at `pci`.
void read_link(device_facts& facts) {
  const std::string directory = "/sys/bus/pci/devices/" + facts.pci;
  const std::string speed = first_line(directory + "/current_link_speed");
  const std::string width = first_line(directory + "/current_link_width");
  double transfers = 0;
  unsigned lanes = 0;
  std::from_chars(speed.data(), speed.data() + speed.size(), transfers);
  std::from_chars(width.data(), width.data() + width.size(), lanes);
  if (transfers <= 0 || lanes == 0) return;
  facts.link = speed + " x" + width;
  // 128 of 130 bits carry data from 8 GT/s on, 8 of 10 below.
  const double share = transfers >= 8 ? 128.0 / 130 : 0.8;
  facts.link_rate = static_cast<std::uint64_t>(transfers * 1e9 / 8 * share * lanes);
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  if (cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return value;
}

result<device_facts> read_device(int device) {
  device_facts facts;
  cudaDeviceProp properties;
  MILLRACE_CUDA_TRY(cudaGetDeviceProperties(&properties, device));
  facts.name = properties.name;
  facts.memory_bytes = properties.totalGlobalMem;
  int version = 0;
  MILLRACE_CUDA_TRY(cudaDriverGetVersion(&version));
  facts.driver = std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  facts.capability = std::to_string(attribute(cudaDevAttrComputeCapabilityMajor, device)) + "." +
                     std::to_string(attribute(cudaDevAttrComputeCapabilityMinor, device));
  facts.multiprocessors =
      static_cast<std::uint32_t>(attribute(cudaDevAttrMultiProcessorCount, device));
  // Kilohertz; two transfers a clock.
  facts.memory_rate =
      static_cast<std::uint64_t>(attribute(cudaDevAttrMemoryClockRate, device)) * 1000 * 2 *
      static_cast<std::uint64_t>(attribute(cudaDevAttrGlobalMemoryBusWidth, device)) / 8;
  char pci[32] = {};
  MILLRACE_CUDA_TRY(cudaDeviceGetPCIBusId(pci, sizeof pci, device));
  facts.pci = pci;
  std::transform(facts.pci.begin(), facts.pci.end(), facts.pci.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
  read_link(facts);
  MILLRACE_CUDA_TRY(cudaSetDevice(device));
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  MILLRACE_CUDA_TRY(cudaMemGetInfo(&free_bytes, &total_bytes));
  facts.memory_free_bytes = free_bytes;
  return facts;
}

}  // namespace

result<std::vector<device_facts>> read_devices() {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return error(error_code::unsupported, cudaGetErrorString(code));
  }
  std::vector<device_facts> all;
  for (int device = 0; device < count; ++device) {
    MILLRACE_ASSIGN(device_facts one, read_device(device));
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace millrace
