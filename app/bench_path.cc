// From a datagram in memory to a log block: into nothing, which shows the path's own cost, and onto
// the disk, which shows whether it keeps the disk busy.
#include <algorithm>
#include <string>

#include "app/bench_load.h"

namespace millrace {
namespace {

status into_nothing(bench_context& context, std::uint32_t data_bytes, const std::string& group,
                    const std::string& name, path_setup setup, bool as_bytes) {
  MILLRACE_ASSIGN(const scratch_directory folder,
                  scratch_directory::create(context.options().memory));
  setup.directory = folder.path();
  setup.data_bytes = data_bytes;
  MILLRACE_ASSIGN(const auto path, memory_path::create(setup, false));
  double framing = 0;
  bench_figure figure{.group = group, .name = name, .unit = as_bytes ? "bytes/s" : "records/s"};
  if (as_bytes) {
    figure.ceiling = context.median_of("hardware", "memory copy, one core");
    figure.ceiling_name = "memory copy";
  }
  return context.measure(std::move(figure), [&]() -> result<double> {
    MILLRACE_ASSIGN(const path_rates rates, path->run_for(context.options().seconds));
    framing = rates.framing;
    return as_bytes ? rates.data_bytes_per_core_s : rates.records_per_core_s;
  });
}

/// The disk's own rate is taken before each round: disks of virtual machines change by the minute.
status onto_disk(bench_context& context, std::uint32_t data_bytes) {
  const bench_options& options = context.options();
  const std::string size = std::to_string(data_bytes) + "-byte records";
  std::vector<double> disk;
  std::vector<double> bytes;
  std::vector<double> records;
  double framing = 0;
  for (std::uint32_t i = 0; i < options.rounds; ++i) {
    MILLRACE_ASSIGN(const double own,
                    disk_rate(options.data, limits::batch_bytes_default, options.seconds));
    disk.push_back(own);
    // A fresh log each round, so that the disk does not fill up.
    MILLRACE_ASSIGN(const scratch_directory folder, scratch_directory::create(options.data));
    MILLRACE_ASSIGN(
        const auto path,
        memory_path::create(
            {.data_bytes = data_bytes, .discard = false, .directory = folder.path()}, true));
    MILLRACE_ASSIGN(const path_rates rates, path->run_for(options.seconds));
    bytes.push_back(rates.block_bytes_per_s);
    records.push_back(rates.records_per_s);
    framing = rates.framing;
  }
  const auto add = [&](const std::string& name, const char* unit, const std::vector<double>& values,
                       double ceiling, const std::string& note) {
    const bench_rounds rounds = rounds_of(values);
    context.add({.group = "path onto disk",
                 .name = name + ", " + size,
                 .unit = unit,
                 .median = rounds.median,
                 .low = rounds.low,
                 .high = rounds.high,
                 .ceiling = ceiling,
                 .ceiling_name = "the disk's own rate",
                 .note = note});
  };
  add("the disk alone, before each round of", "bytes/s", disk, 0, "durable writes of 1 MiB");
  add("blocks made durable", "bytes/s", bytes, rounds_of(disk).median, "");
  add("records made durable", "records/s", records, 0,
      "log bytes for each byte of key and data: " + std::to_string(framing));
  return {};
}

}  // namespace

status bench_path(bench_context& context) {
  const std::string per_core = "path into nothing, per core used";
  MILLRACE_TRY(into_nothing(context, 100, per_core, "100-byte records, 4 shards", {}, false));
  MILLRACE_TRY(
      into_nothing(context, 1024, per_core, "1024-byte records, 4 shards, data", {}, true));
  // Receive buffers are used again as soon as they are free, so that records usually lie in a
  // cache. Here they do not.
  MILLRACE_TRY(into_nothing(context, 1024, per_core, "the same, from a load of 64 MiB",
                            {.load_bytes = 64 * limits::mib}, true));
  const std::string scaling = "path into nothing, scaling";
  for (const std::uint32_t shards : {1u, 64u, 1024u, 4096u}) {
    MILLRACE_TRY(into_nothing(context, 100, scaling,
                              "100-byte records, " + std::to_string(shards) + " shards",
                              {.shards = shards}, false));
  }
  // The same bytes, few keys or many: the load does not fit any cache either way.
  for (const std::uint32_t keys : {10u, 10'000'000u}) {
    MILLRACE_TRY(into_nothing(context, 32, scaling,
                              "32-byte records, " + std::to_string(keys) + " keys",
                              {.keys = keys, .load_bytes = 600 * limits::mib}, false));
  }
  for (const std::uint32_t data_bytes : {100u, 1024u}) {
    MILLRACE_TRY(onto_disk(context, data_bytes));
  }
  return {};
}

status bench_memory(bench_context& context) {
  MILLRACE_ASSIGN(const scratch_directory folder,
                  scratch_directory::create(context.options().memory));
  const std::uint64_t before = resident_bytes();
  MILLRACE_ASSIGN(const auto path,
                  memory_path::create({.data_bytes = 1024, .directory = folder.path()}, false));
  MILLRACE_TRY(path->run_for(context.options().seconds));
  const std::uint64_t early = resident_bytes();
  MILLRACE_TRY(path->run_for(10 * context.options().seconds));
  const std::uint64_t late = resident_bytes();
  const auto gib = static_cast<double>(path->load().record_bytes_durable()) / 1e9;
  context.add({.group = "memory",
               .name = "resident beyond the arena, at most",
               .unit = "bytes",
               .median = static_cast<double>(std::max(early, late) - before) -
                         static_cast<double>(path->arena_bytes()),
               .note = "negative: not all of the arena was touched"});
  context.add({.group = "memory",
               .name = "growth over the run",
               .unit = "bytes",
               .median = static_cast<double>(late) - static_cast<double>(early),
               .note = "over " + std::to_string(gib) + " GB of records"});
  return {};
}

}  // namespace millrace
