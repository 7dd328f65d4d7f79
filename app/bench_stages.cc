// The stages of the path, each alone on one core.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "app/bench_context.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/record_batch.h"
#include "gpu/backend.h"

namespace millrace {
namespace {

/// Records of `data_bytes` in one buffer, with keys "key-N" of `keys` different ones.
struct record_set {
  record_set(std::uint32_t count, std::uint32_t data_bytes, std::uint32_t keys) {
    const std::vector<std::byte> data(data_bytes, std::byte{'x'});
    for (int pass = 0; pass < 2; ++pass) {  // the first finds out how many bytes
      std::uint64_t at = 0;
      for (std::uint32_t i = 0; i < count; ++i) {
        // Spread by a multiplier, so that neighbours differ.
        const std::string key = "key-" + std::to_string(i * 2654435761u % keys);
        const std::uint32_t stride = record_stride(key.size(), data.size(), false);
        if (pass == 1) {
          write_record(bytes.data() + at, key, data, nullptr);
          refs.push_back({.bytes = bytes.data() + at,
                          .stride = stride,
                          .key_bytes = static_cast<std::uint16_t>(key.size()),
                          .flags = 0,
                          .reserved = 0});
        }
        at += stride;
      }
      bytes.resize(at);
    }
  }
  std::vector<std::byte> bytes;
  std::vector<record_ref> refs;
};

result<double> route_rate(const record_set& set, std::uint32_t shards, double seconds) {
  MILLRACE_ASSIGN(const auto compute, make_backend("cpu"));
  const shard_map map = shard_map::even(shards);
  std::vector<std::uint16_t> shard(set.refs.size());
  std::vector<std::uint32_t> rank(set.refs.size());
  std::vector<std::uint32_t> shard_records(shards);
  std::vector<std::uint64_t> shard_bytes(shards);
  route_job job{.records = set.refs,
                .map = &map,
                .shard = shard,
                .rank = rank,
                .shard_records = shard_records,
                .shard_bytes = shard_bytes};
  const std::uint64_t began = thread_cpu_ns();
  std::uint64_t routed = 0;
  std::uint64_t used = 0;
  do {
    if (!compute->submit(job)) return error(error_code::unavailable, "backend took no job");
    while (!compute->poll(job)) {
    }
    routed += set.refs.size();
    used = thread_cpu_ns() - began;
  } while (static_cast<double>(used) < seconds * 1e9);
  return static_cast<double>(routed) * 1e9 / static_cast<double>(used);
}

double crc_rate(byte_view bytes, double seconds) {
  const std::uint64_t began = thread_cpu_ns();
  std::uint64_t summed = 0;
  std::uint64_t used = 0;
  std::uint32_t crc = 0;
  do {
    crc = crc32c(bytes, crc);
    summed += bytes.size();
    used = thread_cpu_ns() - began;
  } while (static_cast<double>(used) < seconds * 1e9);
  return static_cast<double>(summed) * 1e9 / static_cast<double>(used);
}

}  // namespace

status bench_stages(bench_context& context) {
  const double seconds = context.options().seconds / 2;
  const double copy = context.median_of("hardware", "memory copy, one core");
  const std::vector<std::byte> bytes(limits::mib, std::byte{1});
  MILLRACE_TRY(context.measure({.group = "stages, one core",
                                .name = "CRC32C of 1 MiB in cache",
                                .unit = "bytes/s",
                                .ceiling = copy,
                                .ceiling_name = "memory copy",
                                .note = crc32c_implementation()},
                               [&]() -> result<double> { return crc_rate(bytes, seconds); }));
  for (const std::uint32_t size : {100u, 1024u}) {
    const record_set set(size == 100 ? 8192 : 1024, size, 100'000);
    for (const std::uint32_t shards : {4u, 256u, 4096u}) {
      MILLRACE_TRY(context.measure({.group = "stages, one core",
                                    .name = "route, " + std::to_string(size) + "-byte records, " +
                                            std::to_string(shards) + " shards",
                                    .unit = "records/s"},
                                   [&] { return route_rate(set, shards, seconds); }));
    }
  }
  return {};
}

}  // namespace millrace
