#pragma once
/// What the parts of gpu_bench share: records of benchmarks, and what becomes of errors.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include "base/endian.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/record_batch.h"
#include "base/record_format.h"
#include "gpu/view_plan.h"

namespace millrace {

/// gpu_fold_bench.cc
void register_fold_benchmarks();
/// gpu_graph_bench.cc
void register_graph_benchmarks();

/// Leaves the benchmark with the error's text.
template <class Value>
bool failed(benchmark::State& state, const result<Value>& outcome) {
  if (outcome.ok()) return false;
  state.SkipWithError(outcome.failure().message().c_str());
  return true;
}
inline bool failed(benchmark::State& state, cudaError_t code) {
  if (code == cudaSuccess) return false;
  state.SkipWithError(cudaGetErrorString(code));
  return true;
}

/// Records of one size with keys of one size, all different, one after another.
struct records_of_size {
  std::vector<std::byte> bytes;
  std::vector<record_ref> records;
  std::vector<std::uint32_t> offsets;

  records_of_size(std::size_t bytes_max, std::uint32_t record_bytes, std::uint32_t key_bytes) {
    const std::size_t stride = align_up(record_bytes, record_alignment);
    const std::size_t count = std::min<std::size_t>(bytes_max / stride, limits::batch_records_max);
    bytes.resize(count * stride);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < count; ++i) {
      std::string key(key_bytes, 'k');
      const std::string digits = std::to_string(random() % 100'000'000);
      std::copy_n(digits.begin(), std::min<std::size_t>(digits.size(), key.size()), key.begin());
      const std::vector<std::byte> data(record_bytes - sizeof(record_header) - key.size());
      write_record(&bytes[i * stride], key, data, nullptr);
      records.push_back({.bytes = &bytes[i * stride],
                         .stride = static_cast<std::uint32_t>(stride),
                         .key_bytes = static_cast<std::uint16_t>(key.size())});
      offsets.push_back(static_cast<std::uint32_t>(i * stride));
    }
  }
};

inline void count(benchmark::State& state, std::size_t records, std::size_t bytes) {
  state.counters["records"] = benchmark::Counter(static_cast<double>(state.iterations() * records),
                                                 benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

/// JSON documents of about `record_bytes` with the three fields that are extracted.
inline records_of_size json_records(std::uint32_t record_bytes) {
  records_of_size load(0, record_bytes, 8);
  std::mt19937_64 random(1);
  while (load.bytes.size() + record_bytes + 64 < limits::batch_bytes_max &&
         load.offsets.size() < limits::batch_records_max) {
    std::string data = "{\"user\":\"user-" + std::to_string(random() % 100'000) +
                       "\",\"took\":" + std::to_string(random() % 1000) + ".5,\"status\":200";
    const std::size_t rest = record_bytes - std::min<std::size_t>(record_bytes, data.size() + 32);
    if (rest > 0) data += ",\"rest\":\"" + std::string(rest, 'x') + "\"";
    data += "}";
    const std::size_t at = load.bytes.size();
    load.offsets.push_back(static_cast<std::uint32_t>(at));
    load.bytes.resize(at + record_stride(8, data.size(), false));
    write_record(&load.bytes[at], "key-0001", std::as_bytes(std::span(data)), nullptr);
  }
  return load;
}

/// The fields of those documents.
inline std::vector<field_plan> json_fields() {
  return {{.name = "user", .type = field_type::string, .source = json_source{"user"}},
          {.name = "took", .type = field_type::float64, .source = json_source{"took"}},
          {.name = "status", .type = field_type::int64, .source = json_source{"status"}}};
}

}  // namespace millrace
