// Multi-buffer MD5 of partition keys, against OpenSSL's one-shot MD5() of the same keys.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

// MD5() is deprecated in favour of EVP, which is slower; this is the fastest that OpenSSL has.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <benchmark/benchmark.h>
#include <openssl/md5.h>

#include "gpu/md5_lanes.h"

namespace millrace {
namespace {

constexpr std::uint32_t keys_count = 288;

/// Keys of min to max bytes in records of 104 bytes or as long as they need.
struct key_set {
  std::vector<std::byte> bytes;
  std::vector<md5_key> keys;

  key_set(std::uint32_t min, std::uint32_t max) {
    std::mt19937 random(1);
    const std::size_t stride = std::max<std::size_t>(104, align_up(max + 8, 8));
    bytes.resize(keys_count * stride);
    for (auto& b : bytes)
      b = static_cast<std::byte>(random());
    for (std::uint32_t i = 0; i < keys_count; ++i) {
      const auto count = static_cast<std::uint32_t>(min + random() % (max - min + 1));
      keys.push_back({&bytes[i * stride + 8], count, i});
    }
  }
};

void count_keys(benchmark::State& state) {
  state.counters["keys"] = benchmark::Counter(static_cast<double>(state.iterations()) * keys_count,
                                              benchmark::Counter::kIsRate);
}

void lanes(benchmark::State& state, simd_level level) {
  const key_set set(static_cast<std::uint32_t>(state.range(0)),
                    static_cast<std::uint32_t>(state.range(1)));
  std::vector<uint128> out(keys_count);
  for (auto _ : state) {
    md5_lanes(level, set.keys, out.data());
    benchmark::ClobberMemory();
  }
  count_keys(state);
}

void openssl(benchmark::State& state) {
  const key_set set(static_cast<std::uint32_t>(state.range(0)),
                    static_cast<std::uint32_t>(state.range(1)));
  unsigned char digest[16];
  for (auto _ : state) {
    for (const md5_key& key : set.keys) {
      MD5(reinterpret_cast<const unsigned char*>(key.bytes), key.count, digest);
      benchmark::DoNotOptimize(digest);
    }
  }
  count_keys(state);
}

int register_all() {
  const auto lengths = [](benchmark::internal::Benchmark* one) {
    one->Args({8, 32})->Args({33, 55})->Args({8, 256});
  };
  for (const simd_level level : {simd_level::scalar, simd_level::avx2, simd_level::avx512}) {
    if (!has_simd(level)) continue;
    lengths(benchmark::RegisterBenchmark(("md5/" + std::string(to_string(level))).c_str(), lanes,
                                         level));
  }
  lengths(benchmark::RegisterBenchmark("ceiling/openssl_one_shot", openssl));
  return 0;
}
[[maybe_unused]] const int registered = register_all();

}  // namespace
}  // namespace millrace
