// DPDK's ports as packet sources: those of the machine, and pairs in memory. What frames mean is
// frame_source's business; what settings mean, dpdk_settings'.
#include "ingest/dpdk_port.h"

#include <algorithm>
#include <mutex>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <rte_version.h>

#include "ingest/dpdk_device.h"
#include "ingest/dpdk_environment.h"
#include "ingest/dpdk_settings.h"

namespace millrace {
namespace {

std::unique_ptr<packet_source> make_source(std::shared_ptr<dpdk_port> port, std::uint16_t queue,
                                           std::uint32_t index,
                                           std::vector<std::uint16_t> listen_ports,
                                           std::uint32_t buffers, udp_checksums checksums) {
  const port_plan& plan = port->plan();
  frame_source_options options{
      .identity = plan.identity,
      .listen_ports = std::move(listen_ports),
      .mtu = plan.mtu,
      .buffers = buffers,
      .buffer_bytes = plan.receive_pools[queue]->element_bytes(),
      .verify_udp = checksums == udp_checksums::verify ||
                    (checksums == udp_checksums::automatic && !is_software_driver(port->driver()))};
  return std::make_unique<frame_source>(make_dpdk_queue(std::move(port), queue, index),
                                        std::move(options));
}

status add_port(std::uint16_t id, const dpdk_options& options, arena& memory,
                std::vector<std::unique_ptr<packet_source>>& out) {
  port_plan plan{.id = id,
                 .mtu = options.mtu,
                 .receive_descriptors = static_cast<std::uint16_t>(options.receive_descriptors),
                 .transmit_descriptors = static_cast<std::uint16_t>(options.transmit_descriptors),
                 .receive_pools = {},
                 .transmit_pools = {},
                 .identity = {},
                 .rings = {}};
  MILLRACE_ASSIGN(plan.identity.addresses, addresses_of_port(options.addresses, id));
  for (std::uint32_t queue = 0; queue < options.queues; ++queue) {
    MILLRACE_ASSIGN(auto receive, packet_pool::create(memory, options.buffers, options.mtu,
                                                      "DPDK receive buffers"));
    MILLRACE_ASSIGN(auto transmit,
                    packet_pool::create(memory, transmit_buffers(options.transmit_descriptors),
                                        options.mtu, "DPDK transmit buffers"));
    plan.receive_pools.push_back(std::move(receive));
    plan.transmit_pools.push_back(std::move(transmit));
  }
  MILLRACE_ASSIGN(const auto port, dpdk_port::open(std::move(plan)));
  for (std::uint16_t queue = 0; queue < options.queues; ++queue) {
    out.push_back(make_source(port, queue, static_cast<std::uint32_t>(out.size()),
                              options.listen_ports, options.buffers, options.checksums));
  }
  return {};
}

// --- two ports back to back --------------------------------------------------------------------

result<std::shared_ptr<rte_ring>> make_ring(std::uint32_t frames) {
  rte_ring* const ring = rte_ring_create(unique_dpdk_name("ring").c_str(), frames, SOCKET_ID_ANY,
                                         RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (!ring) return dpdk_error(error_code::exhausted, "a DPDK ring", rte_errno);
  return std::shared_ptr<rte_ring>(ring, rte_ring_free);
}

result<std::shared_ptr<dpdk_port>> open_ring_port(std::shared_ptr<rte_ring> receive,
                                                  std::shared_ptr<rte_ring> transmit,
                                                  const dpdk_ring_options& options,
                                                  const std::string& address,
                                                  std::shared_ptr<packet_pool> receive_pool,
                                                  std::shared_ptr<packet_pool> transmit_pool) {
  rte_ring* const in = receive.get();
  rte_ring* const out = transmit.get();
  const int id = rte_eth_from_rings(unique_dpdk_name("port").c_str(), &in, 1, &out, 1, 0);
  if (id < 0) return dpdk_error(error_code::io, "a DPDK port over rings", rte_errno);
  const auto descriptors = static_cast<std::uint16_t>(std::min(options.ring_frames, 1024u));
  port_plan plan{.id = static_cast<std::uint16_t>(id),
                 .mtu = options.mtu,
                 .receive_descriptors = descriptors,
                 .transmit_descriptors = descriptors,
                 .receive_pools = {std::move(receive_pool)},
                 .transmit_pools = {std::move(transmit_pool)},
                 .identity = {},
                 .rings = {std::move(receive), std::move(transmit)}};
  MILLRACE_ASSIGN(plan.identity.addresses, addresses_of_port(std::span(&address, 1), 0));
  return dpdk_port::open(std::move(plan));
}

}  // namespace

std::string dpdk_version() {
  return rte_version();
}

status start_dpdk(std::string_view eal_arguments) {
  std::lock_guard lock(eal().mutex);
  return start_eal(eal_arguments);
}

result<std::vector<std::unique_ptr<packet_source>>> open_dpdk_ports(const dpdk_options& options,
                                                                    arena& memory) {
  MILLRACE_TRY(check_dpdk_options(options));
  std::vector<std::unique_ptr<packet_source>> out;
  std::lock_guard lock(eal().mutex);
  MILLRACE_TRY(start_eal(options.eal_arguments));
  const auto next_port = [](std::uint64_t from) {
    return static_cast<std::uint16_t>(
        rte_eth_find_next_owned_by(static_cast<std::uint16_t>(from), RTE_ETH_DEV_NO_OWNER));
  };
  for (std::uint16_t id = next_port(0); id < RTE_MAX_ETHPORTS; id = next_port(id + 1u)) {
    if (std::ranges::count(eal().open_ports, id) > 0) continue;
    MILLRACE_TRY(add_port(id, options, memory, out));
  }
  if (out.empty()) {
    return error(error_code::not_found, "DPDK found no port with '" + options.eal_arguments +
                                            "': bind a NIC (docs/dpdk.md) or name a --vdev");
  }
  return out;
}

result<dpdk_ring_pair> open_dpdk_ring_pair(const dpdk_ring_options& options, arena& memory) {
  MILLRACE_TRY(check_dpdk_options(options));
  std::lock_guard lock(eal().mutex);
  if (!eal().started || !eal().started->ok()) {
    return error(error_code::unavailable, "DPDK is not started");
  }
  const std::uint32_t answers = transmit_buffers(options.ring_frames);
  // A frame changes hands as it is: what the client sends from is what the server receives into.
  MILLRACE_ASSIGN(auto data_pool,
                  packet_pool::create(memory, options.buffers, options.mtu, "net_ring buffers"));
  MILLRACE_ASSIGN(auto answer_pool,
                  packet_pool::create(memory, answers, options.mtu, "net_ring answer buffers"));
  MILLRACE_ASSIGN(const auto to_server, make_ring(options.ring_frames));
  MILLRACE_ASSIGN(const auto to_client, make_ring(options.ring_frames));
  MILLRACE_ASSIGN(const auto server,
                  open_ring_port(to_server, to_client, options, options.server_address, data_pool,
                                 answer_pool));
  MILLRACE_ASSIGN(const auto client,
                  open_ring_port(to_client, to_server, options, options.client_address, answer_pool,
                                 data_pool));
  const port_address& address = server->plan().identity.addresses.front();
  dpdk_ring_pair pair;
  pair.server_address.address = address.address;
  pair.server_address.family = address.family;
  pair.server_address.port = options.server_ports.front();
  pair.server =
      make_source(server, 0, 0, options.server_ports, options.buffers, udp_checksums::ignore);
  pair.client = make_source(client, 0, 1, {options.client_port}, answers, udp_checksums::ignore);
  return pair;
}

}  // namespace millrace
