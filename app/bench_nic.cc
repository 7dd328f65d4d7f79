// A network card: frames from a generator on one port to the receive path on another, or on the
// same one where the wire leads back to it; as fast as the generator goes.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/bench_context.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "ingest/dpdk_port.h"

namespace millrace {
namespace {

/// Ethernet with its checksum, IPv4 and UDP.
constexpr std::uint32_t frame_overhead = 14 + 4 + 20 + 8;
constexpr std::uint32_t frame_sizes[] = {64, 128, 256, 512, 1024, 1518, 4096, 9000};
constexpr std::uint16_t listen_port = 4567;
constexpr std::uint64_t resolve_us = 3'000'000;
constexpr std::uint64_t drain_us = 100'000;

struct ports {
  std::unique_ptr<arena> memory;
  std::vector<std::unique_ptr<packet_source>> sources;
  packet_source& receiver() { return *sources.front(); }
  packet_source& sender() { return *sources.back(); }
  bool is_looped() const { return sources.size() == 1; }
};

struct nic_rates {
  double frames_per_s = 0;  ///< received
  double loss = 0;          ///< of those sent
  double cores = 0;         ///< of the receiving core: the share of time spent on frames
};

endpoint receiver_address() {
  endpoint to;
  to.address = {192, 0, 2, 1};
  to.port = listen_port;
  to.family = 4;
  return to;
}

result<ports> try_ports(const dpdk_options& wanted) {
  ports out;
  // Room for two ports; a third is left alone.
  MILLRACE_ASSIGN(arena memory, arena::create({.bytes = 2 * dpdk_queue_arena_bytes(wanted),
                                               .try_hugetlb = true}));
  out.memory = std::make_unique<arena>(std::move(memory));
  MILLRACE_ASSIGN(out.sources, open_dpdk_ports(wanted, *out.memory));
  if (out.sources.size() > 2) out.sources.resize(2);
  return out;
}

/// A second address where there is a second port. With one port it is looped, or there is nothing
/// to measure. The MTU is the caller's to know: a port that refuses one is closed, and gone.
result<ports> open_ports(const bench_options& options) {
  dpdk_options wanted;
  wanted.eal_arguments = options.dpdk;
  wanted.listen_ports = {listen_port};
  wanted.mtu = options.dpdk_mtu;
  wanted.addresses = {"192.0.2.1/24", "192.0.2.2/24@1"};
  auto opened = try_ports(wanted);
  if (opened.ok() || opened.failure().code() != error_code::invalid_argument) return opened;
  wanted.addresses.pop_back();
  return try_ports(wanted);
}

/// Takes what is there and gives it back; how many.
std::uint32_t take(packet_source& from, std::vector<received_packet>& burst) {
  const std::uint32_t count = from.receive(burst);
  for (std::uint32_t i = 0; i < count; ++i)
    from.release(burst[i].buffer);
  return count;
}

/// The first frame is an ARP request, whose answer takes both sides.
status resolve(ports& on, std::span<const outgoing_packet> packets) {
  std::vector<received_packet> burst(limits::burst_packets_max);
  for (const std::uint64_t until = monotonic_us() + resolve_us; monotonic_us() < until;) {
    static_cast<void>(on.sender().send(packets.first(1)));
    if (take(on.receiver(), burst) > 0) return {};
    if (!on.is_looped()) take(on.sender(), burst);
  }
  return error(error_code::timed_out,
               "no frame came from the one port to the other: are they connected?");
}

/// With one port the caller's thread does both; with two the sender has its own.
result<nic_rates> run(ports& on, std::uint32_t frame_bytes, double seconds) {
  const std::vector<std::byte> data(frame_bytes - frame_overhead);
  const std::vector<outgoing_packet> packets(32, {.bytes = data, .to = receiver_address()});
  MILLRACE_TRY(resolve(on, packets));
  std::atomic<std::uint64_t> sent{0};
  std::atomic<bool> is_over{false};
  const auto send = [&] { sent.fetch_add(on.sender().send(packets), std::memory_order_relaxed); };
  std::thread generator;
  if (!on.is_looped()) {
    generator = std::thread([&] {
      std::vector<received_packet> burst(limits::burst_packets_max);
      on.sender().adopt_thread();
      while (!is_over.load(std::memory_order_relaxed)) {
        send();
        take(on.sender(), burst);  // ARP requests are answered in here
      }
    });
  }
  std::vector<received_packet> burst(limits::burst_packets_max);
  std::uint64_t received = 0;
  std::uint64_t busy_ns = 0;
  const std::uint64_t began = monotonic_us();
  const std::uint64_t until = began + static_cast<std::uint64_t>(seconds * 1e6);
  std::uint64_t now = began;
  for (std::uint64_t idle_since = began; now < until || now - idle_since < drain_us;
       now = monotonic_us()) {
    if (now < until && on.is_looped()) send();
    if (now >= until) is_over.store(true, std::memory_order_relaxed);
    const std::uint64_t before = monotonic_ns();
    const std::uint32_t count = take(on.receiver(), burst);
    if (count == 0) continue;
    busy_ns += monotonic_ns() - before;
    received += count;
    idle_since = now;
  }
  if (generator.joinable()) generator.join();
  const double all = static_cast<double>(sent.load());
  return nic_rates{.frames_per_s = static_cast<double>(received) / seconds,
                   .loss = all > 0 ? std::max(0.0, 1 - static_cast<double>(received) / all) : 0,
                   .cores = static_cast<double>(busy_ns) / (seconds * 1e9)};
}

}  // namespace

status bench_nic(bench_context& context) {
  if (context.options().dpdk.empty()) return {};
  auto opened = open_ports(context.options());
  if (!opened.ok()) {
    // Arguments without a port are for the ports in memory alone.
    if (opened.failure().code() == error_code::not_found) return {};
    return std::move(opened).failure();
  }
  ports& on = *opened;
  on.receiver().adopt_thread();
  const std::string group =
      fmt::format("NIC, {} to {}", on.sender().describe(), on.receiver().describe());
  for (const std::uint32_t size : frame_sizes) {
    if (size - frame_overhead > on.receiver().datagram_bytes_max()) continue;
    double loss = 0;
    double cores = 0;
    bench_figure figure{
        .group = group, .name = fmt::format("{}-byte frames", size), .unit = "frames/s"};
    std::vector<double> rates;
    for (std::uint32_t i = 0; i < context.options().rounds; ++i) {
      MILLRACE_ASSIGN(const nic_rates one, run(on, size, context.options().seconds / 2));
      rates.push_back(one.frames_per_s);
      loss = std::max(loss, one.loss);
      cores = std::max(cores, one.cores);
    }
    const bench_rounds rounds = rounds_of(std::move(rates));
    figure.median = rounds.median;
    figure.low = rounds.low;
    figure.high = rounds.high;
    figure.note = fmt::format("{:.3g} Gbit/s, at most {:.2g} % lost, receiving took {:.2f} cores",
                              rounds.median * size * 8e-9, 100 * loss, cores);
    context.add(std::move(figure));
  }
  return {};
}

}  // namespace millrace
