// The path with a network on it, the kernel's UDP or a DPDK port in memory; producer and server on
// the same cores.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "app/bench_context.h"
#include "base/arena.h"
#include "base/clock.h"
#include "ingest/door.h"
#include "ingest/dpdk_port.h"
#include "ingest/producer.h"
#include "ingest/udp_source.h"
#include "shards/pipeline.h"

namespace millrace {
namespace {

enum class link_kind : std::uint8_t { udp, dpdk_ring };

/// An appliance of one door and one stream "bench", and how its producer reaches it.
struct loopback_server {
  static result<std::unique_ptr<loopback_server>> start(const std::string& directory,
                                                        link_kind kind) {
    auto server = std::make_unique<loopback_server>();
    MILLRACE_ASSIGN(server->memory, arena::create({.bytes = 512 * limits::mib}));
    pipeline_options options;
    options.data_directory = directory;
    std::vector<recovered_stream> recovered;
    MILLRACE_ASSIGN(server->streams, pipeline::open(options, recovered));
    server->streams->start();
    MILLRACE_TRY(server->streams->create_stream("bench", 4, retention_policy{}));
    std::unique_ptr<packet_source> source;
    if (kind == link_kind::udp) {
      MILLRACE_ASSIGN(auto made,
                      udp_source::create(*server->memory, {.listen = {{.host = "127.0.0.1"}}}));
      server->port = made->local(0).port;
      source = std::move(made);
    } else {
      const dpdk_ring_options ring{.buffers = 16'384};
      MILLRACE_ASSIGN(dpdk_ring_pair pair, open_dpdk_ring_pair(ring, *server->memory));
      source = std::move(pair.server);
      server->client = std::move(pair.client);
      server->address = pair.server_address;
    }
    const door_parts parts{
        .memory = *server->memory, .sink = *server->streams, .cookies = server->cookies};
    door_options with;
    with.server.arena_bytes = 64 * limits::mib;
    MILLRACE_ASSIGN(server->way_in, door::create(parts, std::move(source), with));
    server->way_in->start();
    return server;
  }
  ~loopback_server() {
    if (way_in) way_in->stop();
    if (streams) streams->stop();
  }

  result<std::unique_ptr<producer>> connect(const producer_options& options,
                                            producer::outcome_handler on_outcome) {
    if (client) {
      return producer::connect(std::move(client), address, options, std::move(on_outcome));
    }
    return producer::connect("127.0.0.1", port, options, std::move(on_outcome));
  }

  std::optional<arena> memory;
  cookie_maker cookies;
  std::unique_ptr<pipeline> streams;
  std::unique_ptr<door> way_in;
  std::uint16_t port = 0;
  std::unique_ptr<packet_source> client;
  endpoint address;
};

struct loopback_rates {
  double data_bytes_per_s = 0;
  double records_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cores = 0;  ///< busy on average, producer and server together
};

/// Sends for `seconds`, as fast as it can or `records_per_s`; every record must become durable.
/// Latencies are sampled.
result<loopback_rates> send_over(link_kind kind, const std::string& parent,
                                 std::uint32_t data_bytes, double seconds, double records_per_s) {
  MILLRACE_ASSIGN(const scratch_directory folder, scratch_directory::create(parent));
  MILLRACE_ASSIGN(const auto server, loopback_server::start(folder.path(), kind));
  std::vector<std::uint32_t> latencies;  // written on the producer's thread, read after its end
  std::uint64_t durable = 0;
  producer_options options;
  options.stream = "bench";
  MILLRACE_ASSIGN(const auto sender, server->connect(options, [&](const record_outcome& one) {
    durable += one.durable ? 1 : 0;
    if (one.number.value % 64 == 0) {
      latencies.push_back(static_cast<std::uint32_t>(one.latency_us));
    }
  }));
  const std::vector<std::byte> data(data_bytes, std::byte{'x'});
  const std::uint64_t began = monotonic_us();
  const double cpu_began = process_cpu_seconds();
  const auto until = began + static_cast<std::uint64_t>(seconds * 1e6);
  std::uint64_t sent = 0;
  char key[24];
  while (monotonic_us() < until) {
    for (int i = 0; i < 64; ++i, ++sent) {
      const int length = std::snprintf(key, sizeof key, "key-%u",
                                       static_cast<unsigned>(sent * 2654435761u % 100'000));
      MILLRACE_TRY(sender->send({key, static_cast<std::size_t>(length)}, data));
    }
    if (records_per_s == 0) continue;
    const auto due =
        began + static_cast<std::uint64_t>(1e6 * static_cast<double>(sent) / records_per_s);
    const std::uint64_t now = monotonic_us();
    if (due > now) std::this_thread::sleep_for(std::chrono::microseconds(due - now));
  }
  MILLRACE_TRY(sender->flush(60'000'000));
  const double wall = static_cast<double>(monotonic_us() - began) * 1e-6;
  const double cores = (process_cpu_seconds() - cpu_began) / wall;
  sender->close();
  if (durable != sent) {
    return error(error_code::corrupt, std::to_string(sent) + " records were sent and " +
                                          std::to_string(durable) + " became durable");
  }
  std::sort(latencies.begin(), latencies.end());
  const auto percentile = [&](double p) {
    return static_cast<double>(
        latencies[static_cast<std::size_t>(p * static_cast<double>(latencies.size() - 1))]);
  };
  const auto records = static_cast<double>(sent);
  return loopback_rates{.data_bytes_per_s = records * data_bytes / wall,
                        .records_per_s = records / wall,
                        .p50_us = percentile(0.5),
                        .p99_us = percentile(0.99),
                        .cores = cores};
}

/// Bytes a second through the ports alone, on one core: built from one buffer, handed over, parsed,
/// released.
result<double> hand_over_ring(double seconds) {
  const dpdk_ring_options options;
  MILLRACE_ASSIGN(arena memory, arena::create({.bytes = dpdk_ring_arena_bytes(options)}));
  MILLRACE_ASSIGN(const dpdk_ring_pair pair, open_dpdk_ring_pair(options, memory));
  const std::vector<std::byte> data(pair.server->datagram_bytes_max());
  const std::vector<outgoing_packet> packets(32, {.bytes = data, .to = pair.server_address});
  std::vector<received_packet> burst(limits::burst_packets_max);
  std::uint64_t bytes = 0;
  std::uint64_t began = monotonic_us();
  // The first packets resolve the address.
  std::uint64_t until = began + 10'000;
  for (bool is_warm = false;; is_warm = true) {
    while (monotonic_us() < until) {
      static_cast<void>(pair.client->send(packets));
      for (const auto& source : {pair.server.get(), pair.client.get()}) {
        const std::uint32_t count = source->receive(burst);
        for (std::uint32_t i = 0; i < count; ++i) {
          bytes += burst[i].bytes.size();
          source->release(burst[i].buffer);
        }
      }
    }
    if (is_warm) break;
    bytes = 0;
    began = monotonic_us();
    until = began + static_cast<std::uint64_t>(seconds * 1e6);
  }
  return static_cast<double>(bytes) / (static_cast<double>(monotonic_us() - began) * 1e-6);
}

/// One figure for each of: data rate, records, latencies.
status measure_link(bench_context& context, link_kind kind, const std::string& group,
                    const std::string& directory, std::uint32_t data_bytes,
                    double records_per_s = 0) {
  std::string size = std::to_string(data_bytes) + "-byte records";
  if (records_per_s > 0) size += " at " + format_rate(records_per_s, "records/s");
  std::vector<double> records;
  std::vector<double> p50;
  std::vector<double> p99;
  std::vector<double> cores;
  const auto round = [&]() -> result<double> {
    MILLRACE_ASSIGN(
        const loopback_rates rates,
        send_over(kind, directory, data_bytes, context.options().seconds, records_per_s));
    records.push_back(rates.records_per_s);
    p50.push_back(rates.p50_us);
    p99.push_back(rates.p99_us);
    cores.push_back(rates.cores);
    return rates.data_bytes_per_s;
  };
  MILLRACE_TRY(context.measure({.group = group,
                                .name = size + ", data",
                                .unit = "bytes/s",
                                .note = "producer and server in one process"},
                               round));
  const auto add = [&](const std::string& name, const std::string& unit, std::vector<double> values,
                       const std::string& note) {
    const bench_rounds rounds = rounds_of(std::move(values));
    context.add({.group = group,
                 .name = size + name,
                 .unit = unit,
                 .median = rounds.median,
                 .low = rounds.low,
                 .high = rounds.high,
                 .note = note});
  };
  const std::string note = records_per_s > 0 ? "" : "at full rate: the producer's own queue";
  add("", "records/s", records, "");
  add(", send() to durable, p50", "µs", p50, note);
  add(", send() to durable, p99", "µs", p99, note);
  add(", cores busy", "cores", cores,
      "of " + std::to_string(std::thread::hardware_concurrency()) +
          "; producer and server together, polling included");
  return {};
}

}  // namespace

status bench_network(bench_context& context) {
  const std::string memory = "UDP loopback, logs on a memory file system (written, not durable)";
  const std::string disk = "UDP loopback, logs on disk";
  MILLRACE_TRY(measure_link(context, link_kind::udp, memory, context.options().memory, 1024));
  MILLRACE_TRY(measure_link(context, link_kind::udp, memory, context.options().memory, 100));
  MILLRACE_TRY(
      measure_link(context, link_kind::udp, memory, context.options().memory, 1024, 50'000));
  MILLRACE_TRY(measure_link(context, link_kind::udp, disk, context.options().data, 1024));
  return measure_link(context, link_kind::udp, disk, context.options().data, 1024, 50'000);
}

status bench_dpdk(bench_context& context) {
  if (context.options().dpdk.empty()) return {};
  MILLRACE_TRY(start_dpdk(context.options().dpdk));
  const std::string disk = "DPDK net_ring, producer in this process, logs on disk";
  MILLRACE_TRY(context.measure(
      {.group = disk,
       .name = "the ports alone, full datagrams, one core",
       .unit = "bytes/s",
       .note = "the driver's own rate: sent, handed over, parsed, released; no records"},
      [&] { return hand_over_ring(context.options().seconds); }));
  MILLRACE_TRY(measure_link(context, link_kind::dpdk_ring, disk, context.options().data, 1024));
  return measure_link(context, link_kind::dpdk_ring, disk, context.options().data, 100);
}

}  // namespace millrace
