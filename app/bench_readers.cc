// What a reader who comes late costs: bytes read from the disk for each byte of records returned.
#include <string>
#include <thread>

#include "app/bench_load.h"
#include "base/clock.h"

namespace millrace {
namespace {

constexpr std::uint32_t reader_shards = 4096;

struct cold_read {
  double disk_bytes_per_byte = 0;
  double bytes_per_s = 0;
};

/// Opens the logs again, with nothing in memory, and reads with `read`, which returns the bytes it
/// got.
template <class Read>
result<cold_read> read_cold(const std::string& directory, Read read) {
  pipeline_options options;
  options.data_directory = directory;
  std::vector<recovered_stream> recovered;
  MILLRACE_ASSIGN(const auto streams, pipeline::open(options, recovered));
  MILLRACE_ASSIGN(const auto log, streams->log_of("bench"));
  const std::uint64_t disk_before = streams->counters().get(counter::disk_bytes_read);
  const std::uint64_t began = monotonic_us();
  result<std::uint64_t> bytes = read(*log);
  if (!bytes.ok()) return std::move(bytes).failure();
  const double wall = static_cast<double>(monotonic_us() - began) * 1e-6;
  streams->do_work();  // readers' counts reach the counters by the pipeline's thread
  const std::uint64_t disk = streams->counters().get(counter::disk_bytes_read) - disk_before;
  if (*bytes == 0) return error(error_code::unavailable, "there was nothing to read");
  return cold_read{.disk_bytes_per_byte = static_cast<double>(disk) / static_cast<double>(*bytes),
                   .bytes_per_s = static_cast<double>(*bytes) / wall};
}

result<std::uint64_t> read_shard(const stream_log& log, shard_index shard) {
  std::uint64_t bytes = 0;
  record_index at = log.trim_horizon(shard);
  while (at < log.durable_end(shard)) {
    MILLRACE_ASSIGN(const read_chunk chunk, log.read(shard, at, limits::mib, 10'000));
    for (const stored_record& one : chunk.records)
      bytes += one.record.stride();
    if (!(at < chunk.next)) return error(error_code::corrupt, "a read did not move on");
    at = chunk.next;
  }
  return bytes;
}

result<std::uint64_t> read_all(const stream_log& log) {
  std::uint64_t bytes = 0;
  std::uint64_t damaged = 0;
  MILLRACE_TRY(log.scan({.block =
                             [&](const std::vector<stored_record>& records) {
                               for (const stored_record& one : records)
                                 bytes += one.record.stride();
                               return true;
                             },
                         .damaged = [&](const damage&) { ++damaged; }}));
  if (damaged > 0) return error(error_code::corrupt, std::to_string(damaged) + " damaged ranges");
  return bytes;
}

void add_read(bench_context& context, const std::string& what, const cold_read& figures) {
  const std::string group = "cold reads of 4096 shards";
  context.add({.group = group,
               .name = "disk bytes for each byte returned, " + what,
               .unit = "bytes",
               .median = figures.disk_bytes_per_byte});
  context.add({.group = group,
               .name = "record bytes returned, " + what,
               .unit = "bytes/s",
               .median = figures.bytes_per_s});
}

}  // namespace

status bench_readers(bench_context& context) {
  MILLRACE_ASSIGN(const scratch_directory folder,
                  scratch_directory::create(context.options().data));
  {
    MILLRACE_ASSIGN(const auto path, memory_path::create({.shards = reader_shards,
                                                          .data_bytes = 1024,
                                                          .keys = 1'000'000,
                                                          .discard = false,
                                                          .directory = folder.path(),
                                                          .segment_bytes = 512 * limits::mib},
                                                         true));
    MILLRACE_TRY(path->run_for(context.options().seconds));
  }
  MILLRACE_ASSIGN(const cold_read one, read_cold(folder.path(), [](const stream_log& log) {
                    return read_shard(log, shard_index(reader_shards / 2));
                  }));
  add_read(context, "one shard", one);
  MILLRACE_ASSIGN(const cold_read all, read_cold(folder.path(), read_all));
  add_read(context, "all", all);
  return {};
}

}  // namespace millrace
