// What a DPDK port costs beside what comes after it: datagrams across a pair of ports in memory
// (net_ring: built, handed over, parsed, released, on one core), and frames of net_null, which are
// dropped at the first look: the driver's own rate of receiving and releasing, the ceiling.
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/limits.h"
#include "ingest/dpdk_port.h"

namespace millrace {
namespace {

constexpr const char* eal_arguments =
    "--no-huge -m 128 --no-shconf --no-pci --no-telemetry --log-level=error "
    "--vdev=net_null0,size=128";

bool start(benchmark::State& state) {
  const status started = start_dpdk(eal_arguments);
  if (!started.ok()) state.SkipWithError(started.failure().message().c_str());
  return started.ok();
}

result<arena> make_arena(std::uint64_t bytes) {
  return arena::create({.bytes = bytes, .try_hugetlb = true});
}

void rate(benchmark::State& state, std::uint64_t datagrams, std::uint64_t bytes) {
  state.counters["datagrams"] =
      benchmark::Counter(static_cast<double>(datagrams), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<std::int64_t>(datagrams * bytes));
}

std::uint32_t take_all(packet_source& from, std::vector<received_packet>& burst) {
  const std::uint32_t count = from.receive(burst);
  for (std::uint32_t i = 0; i < count; ++i)
    from.release(burst[i].buffer);
  return count;
}

void net_ring(benchmark::State& state) {
  if (!start(state)) return;
  const dpdk_ring_options options;
  auto memory = make_arena(dpdk_ring_arena_bytes(options));
  auto pair = open_dpdk_ring_pair(options, *memory);
  if (!pair.ok()) return state.SkipWithError(pair.failure().message().c_str());
  pair->server->adopt_thread();
  const std::vector<std::byte> data(static_cast<std::size_t>(state.range(0)));
  const std::vector<outgoing_packet> packets(32, {.bytes = data, .to = pair->server_address});
  std::vector<received_packet> burst(limits::burst_packets_max);
  // The address is resolved before the clock runs.
  for (int i = 0; i < 4; ++i) {
    (void)pair->client->send(packets);
    take_all(*pair->server, burst);
    take_all(*pair->client, burst);
  }
  std::uint64_t count = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(pair->client->send(packets));
    count += take_all(*pair->server, burst);
  }
  rate(state, count, data.size());
}
BENCHMARK(net_ring)->Arg(128)->Arg(1472)->Arg(8972);

void net_null(benchmark::State& state) {
  if (!start(state)) return;
  const dpdk_options options{.eal_arguments = eal_arguments, .listen_ports = {4567}};
  // Once for all runs: a port of the command line that is closed is gone.
  static auto memory = make_arena(dpdk_queue_arena_bytes(options));
  static auto sources = open_dpdk_ports(options, *memory);
  if (!sources.ok()) return state.SkipWithError(sources.failure().message().c_str());
  packet_source& source = *sources->front();
  source.adopt_thread();
  std::vector<received_packet> burst(limits::burst_packets_max);
  std::uint64_t count = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(take_all(source, burst));
    count += burst.size();
  }
  rate(state, count, 128);
}
BENCHMARK(net_null);

}  // namespace
}  // namespace millrace
