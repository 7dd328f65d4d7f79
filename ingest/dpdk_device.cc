#include "ingest/dpdk_device.h"

#include <algorithm>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "base/clock.h"
#include "ingest/dpdk_environment.h"

namespace millrace {
namespace {

/// Port statistics of real hardware take microseconds to read.
constexpr std::uint64_t statistics_interval_us = 100'000;

}  // namespace

result<std::shared_ptr<dpdk_port>> dpdk_port::open(port_plan plan) {
  auto made = std::make_shared<dpdk_port>(std::move(plan));
  const status started = made->start();
  if (!started.ok()) {
    return error(started.failure()).with_context("DPDK port " + made->name());
  }
  return made;
}

dpdk_port::dpdk_port(port_plan plan) : plan_(std::move(plan)) {
  eal().open_ports.push_back(plan_.id);
}

dpdk_port::~dpdk_port() {
  rte_eth_dev_stop(plan_.id);
  rte_eth_dev_close(plan_.id);
  for (const auto& pool : plan_.receive_pools)
    pool->unmap_for(device_);
  for (const auto& pool : plan_.transmit_pools)
    pool->unmap_for(device_);
  std::lock_guard lock(eal().mutex);
  std::erase(eal().open_ports, plan_.id);
}

std::uint64_t dpdk_port::lost() const {
  const std::uint64_t now = monotonic_us();
  if (now - read_us_.load(std::memory_order_relaxed) >= statistics_interval_us) {
    rte_eth_stats stats{};
    if (rte_eth_stats_get(plan_.id, &stats) == 0) {
      lost_.store(stats.imissed + stats.ierrors + stats.rx_nombuf, std::memory_order_relaxed);
    }
    read_us_.store(now, std::memory_order_relaxed);
  }
  return lost_.load(std::memory_order_relaxed);
}

std::vector<source_statistic> dpdk_port::statistics() const {
  const int count = rte_eth_xstats_get_names(plan_.id, nullptr, 0);
  if (count <= 0) return {};
  std::vector<rte_eth_xstat_name> names(static_cast<std::size_t>(count));
  std::vector<rte_eth_xstat> values(names.size());
  const auto size = static_cast<unsigned>(count);
  if (rte_eth_xstats_get_names(plan_.id, names.data(), size) != count ||
      rte_eth_xstats_get(plan_.id, values.data(), size) != count) {
    return {};
  }
  std::vector<source_statistic> out;
  for (const rte_eth_xstat& one : values)
    out.push_back({names[one.id].name, one.value});
  return out;
}

status dpdk_port::start() {
  rte_eth_dev_info info{};
  if (const int failed = rte_eth_dev_info_get(plan_.id, &info)) {
    return dpdk_error(error_code::io, "reading its description", failed);
  }
  driver_ = info.driver_name;
  device_ = info.device;
  MILLRACE_TRY(check(info));
  for (const auto& pool : plan_.receive_pools)
    MILLRACE_TRY(pool->map_for(device_));
  for (const auto& pool : plan_.transmit_pools)
    MILLRACE_TRY(pool->map_for(device_));
  MILLRACE_TRY(configure(info));
  MILLRACE_TRY(set_up_queues());
  read_link_address();
  if (const int failed = rte_eth_dev_start(plan_.id)) {
    return dpdk_error(error_code::io, "starting it", failed);
  }
  return listen_widely();
}

status dpdk_port::check(const rte_eth_dev_info& info) const {
  const auto refuse = [](const char* what, std::size_t value, std::size_t limit) {
    return error(error_code::invalid_argument, std::string(what) + " " + std::to_string(value) +
                                                   " over its limit of " + std::to_string(limit));
  };
  const std::size_t queues = plan_.receive_pools.size();
  if (queues > info.max_rx_queues) return refuse("receive queues", queues, info.max_rx_queues);
  if (queues > info.max_tx_queues) return refuse("transmit queues", queues, info.max_tx_queues);
  if (plan_.mtu > info.max_mtu) return refuse("mtu", plan_.mtu, info.max_mtu);
  return {};
}

status dpdk_port::configure(const rte_eth_dev_info& info) {
  const auto queues = static_cast<std::uint16_t>(plan_.receive_pools.size());
  rte_eth_conf conf{};
  conf.rxmode.mtu = plan_.mtu;
  conf.rxmode.offloads =
      info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
  // Safe here: what a queue sends comes from its one pool and is referred to once.
  conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  const std::uint64_t spread =
      info.flow_type_rss_offloads & (RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP);
  if (queues > 1 && spread != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = spread;
  }
  if (const int failed = rte_eth_dev_configure(plan_.id, queues, queues, &conf)) {
    return dpdk_error(error_code::io,
                      "configuring " + std::to_string(queues) + " queues and an MTU of " +
                          std::to_string(plan_.mtu),
                      failed);
  }
  return {};
}

status dpdk_port::set_up_queues() {
  std::uint16_t receive = plan_.receive_descriptors;
  std::uint16_t transmit = plan_.transmit_descriptors;
  if (const int failed = rte_eth_dev_adjust_nb_rx_tx_desc(plan_.id, &receive, &transmit)) {
    return dpdk_error(error_code::io, "its descriptors", failed);
  }
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(plan_.id));
  for (std::uint16_t queue = 0; queue < plan_.receive_pools.size(); ++queue) {
    int failed = rte_eth_rx_queue_setup(plan_.id, queue, receive, socket, nullptr,
                                        plan_.receive_pools[queue]->get());
    if (failed == 0) {
      failed = rte_eth_tx_queue_setup(plan_.id, queue, transmit, socket, nullptr);
    }
    if (failed != 0) {
      return dpdk_error(error_code::io, "setting up queue " + std::to_string(queue), failed);
    }
  }
  return {};
}

void dpdk_port::read_link_address() {
  rte_ether_addr link{};
  if (rte_eth_macaddr_get(plan_.id, &link) == 0 && !rte_is_zero_ether_addr(&link)) {
    std::copy_n(link.addr_bytes, plan_.identity.link.size(), plan_.identity.link.begin());
    return;
  }
  // Ports in memory have none: a locally administered one, so that ARP has something to tell.
  plan_.identity.link = {0x02,
                         0x4d,
                         0x52,
                         0,
                         static_cast<std::uint8_t>(plan_.id >> 8),
                         static_cast<std::uint8_t>(plan_.id)};
}

/// A passive port hears everything; neighbour solicitations come to group addresses.
status dpdk_port::listen_widely() {
  const auto& own = plan_.identity.addresses;
  const bool has_ipv6 = std::ranges::any_of(own, [](const auto& a) { return a.family == 6; });
  int failed = 0;
  if (has_ipv6) failed = rte_eth_allmulticast_enable(plan_.id);
  if (plan_.identity.passive() || failed != 0) failed = rte_eth_promiscuous_enable(plan_.id);
  // Software drivers that cannot be told deliver everything anyway.
  if (failed != 0 && failed != -ENOTSUP) {
    return dpdk_error(error_code::io, "promiscuous mode", failed);
  }
  return {};
}

}  // namespace millrace
