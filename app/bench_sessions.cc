// What sessions that are open and silent cost the others, in time and in memory.
#include <string>

#include "app/bench_load.h"
#include "app/bench_swarm.h"
#include "base/clock.h"
#include "shards/discard_file_system.h"

namespace millrace {
namespace {

constexpr std::uint32_t payload_bytes = 1400;
constexpr std::uint64_t give_up_us = 60'000'000;

struct swarm_figures {
  double records_per_core_s = 0;
  double bytes_per_session = 0;
};

result<swarm_figures> run_swarm(const std::string& parent, std::uint32_t sessions,
                                std::uint32_t active, double seconds) {
  MILLRACE_ASSIGN(const scratch_directory folder, scratch_directory::create(parent));
  MILLRACE_ASSIGN(arena memory, arena::create({.bytes = 64 * limits::mib}));
  pipeline_options options;
  options.data_directory = folder.path();
  options.files = make_discard_file_system();
  std::vector<recovered_stream> recovered;
  MILLRACE_ASSIGN(const auto streams, pipeline::open(options, recovered));
  MILLRACE_TRY(streams->create_stream("bench", 4, retention_policy{}));

  const auto payloads = make_payloads(100, 100'000, payload_bytes, payload_bytes);
  std::uint16_t records = 0;
  for (std::size_t at = 0; at < payloads[0].size(); ++records)
    at += record_view(payloads[0].data() + at).stride();
  MILLRACE_ASSIGN(auto source, swarm_source::create(memory, payloads[0], records,
                                                    {.sessions = sessions, .active = active}));
  swarm_source& swarm = *source;
  const cookie_maker cookies;
  door_options with;
  with.reassemblies = 1;
  MILLRACE_ASSIGN(const auto way_in,
                  door::create({.memory = memory, .sink = *streams, .cookies = cookies},
                               std::move(source), with));
  const auto work = [&] {
    way_in->do_work(monotonic_us());
    streams->do_work();
  };

  work();
  const std::uint64_t heap_before = heap_bytes();
  const std::uint64_t give_up = monotonic_us() + give_up_us;
  for (std::uint32_t opened = 0; swarm.opened() < sessions;) {
    if (monotonic_us() > give_up) {
      return error(error_code::timed_out, std::to_string(swarm.opened()) + " of " +
                                              std::to_string(sessions) + " sessions opened");
    }
    // A few at a time, so that the epochs of each round share a batch.
    for (int i = 0; i < 64 && opened < sessions; ++i, ++opened) {
      const producer_id id(make_uint128(1, opened + 1));
      MILLRACE_TRY(way_in->server().open_in_process("bench", id, swarm_source::peer(opened),
                                                    monotonic_us()));
    }
    work();
  }
  const auto grown = static_cast<double>(heap_bytes()) - static_cast<double>(heap_before);

  swarm.start_sending();
  const auto run_until = [&](std::uint64_t until) {
    while (monotonic_us() < until)
      work();
  };
  run_until(monotonic_us() + 200'000);
  const std::uint64_t before = streams->counters().get(counter::records_durable);
  const double cpu = process_cpu_seconds();
  run_until(monotonic_us() + static_cast<std::uint64_t>(seconds * 1e6));
  const auto done = static_cast<double>(streams->counters().get(counter::records_durable) - before);
  const swarm_figures figures{.records_per_core_s = done / (process_cpu_seconds() - cpu),
                              .bytes_per_session = grown / sessions};
  way_in->stop();
  streams->stop();
  return figures;
}

}  // namespace

status bench_sessions(bench_context& context) {
  struct setting {
    std::uint32_t sessions;
    std::uint32_t active;
  };
  for (const setting s : {setting{1, 1}, setting{1'000, 10}, setting{100'000, 1'000}}) {
    const std::string name =
        std::to_string(s.sessions) + " sessions, " + std::to_string(s.active) + " active";
    std::vector<double> sizes;
    MILLRACE_TRY(context.measure(
        {.group = "sessions, 100-byte records in 1400-byte datagrams, per core used",
         .name = name,
         .unit = "records/s"},
        [&]() -> result<double> {
          MILLRACE_ASSIGN(
              const swarm_figures figures,
              run_swarm(context.options().memory, s.sessions, s.active, context.options().seconds));
          sizes.push_back(figures.bytes_per_session);
          return figures.records_per_core_s;
        }));
    if (s.sessions < 100'000) continue;  // too few to tell from the allocator's noise
    const bench_rounds rounds = rounds_of(sizes);
    context.add({.group = "sessions, memory",
                 .name = "heap bytes an open session",
                 .unit = "bytes",
                 .median = rounds.median,
                 .low = rounds.low,
                 .high = rounds.high,
                 .note = "door, pipeline and producer table together"});
  }
  return {};
}

}  // namespace millrace
