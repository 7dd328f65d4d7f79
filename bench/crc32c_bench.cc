// CRC32C against memcpy, and what the log writer does: copy records into a run, checksum the run.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/crc32c.h"

namespace millrace {
namespace {

void count_bytes(benchmark::State& state, std::size_t bytes_each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes_each));
}

void crc32c_of(benchmark::State& state, const crc32c_version& version) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{0x5a});
  std::uint32_t sum = 0;
  for (auto _ : state)
    sum = version.update(sum, bytes.data(), bytes.size());
  benchmark::DoNotOptimize(sum);
  count_bytes(state, bytes.size());
}

void memcpy_of(benchmark::State& state) {
  const std::vector<std::byte> from(static_cast<std::size_t>(state.range(0)), std::byte{0x5a});
  std::vector<std::byte> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
  count_bytes(state, from.size());
}

/// Copies 1 MiB record by record; `sum_every` says after how many bytes what was copied is summed
/// (0: never). range: bytes of a record, sum_every.
void copy_records(benchmark::State& state) {
  const auto record_bytes = static_cast<std::size_t>(state.range(0));
  const auto sum_every = static_cast<std::size_t>(state.range(1));
  constexpr std::size_t total = std::size_t{1} << 20;
  const std::vector<std::byte> from(total, std::byte{0x5a});
  std::vector<std::byte> to(total);
  std::uint32_t sum = 0;
  for (auto _ : state) {
    std::size_t summed = 0;
    for (std::size_t at = 0; at < total;) {
      std::memcpy(&to[at], &from[at], record_bytes);
      at += record_bytes;
      if (sum_every != 0 && at - summed >= sum_every) {
        sum = crc32c({&to[summed], at - summed}, sum);
        summed = at;
      }
    }
    benchmark::ClobberMemory();
  }
  benchmark::DoNotOptimize(sum);
  count_bytes(state, total);
}

int register_all() {
  for (const crc32c_version& version : crc32c_versions()) {
    benchmark::RegisterBenchmark(("crc32c/" + std::string(version.name)).c_str(), crc32c_of,
                                 version)
        ->Arg(128)
        ->Arg(1024)
        ->Arg(4096)
        ->Arg(256 << 10);
  }
  benchmark::RegisterBenchmark("ceiling/memcpy", memcpy_of)
      ->Arg(128)
      ->Arg(1024)
      ->Arg(4096)
      ->Arg(256 << 10);
  benchmark::RegisterBenchmark("copy_records/record:/sum_every:", copy_records)
      ->ArgsProduct({{128, 256, 1024}, {0, 1, 4096, 256 << 10}});
  return 0;
}
[[maybe_unused]] const int registered = register_all();

}  // namespace
}  // namespace millrace
