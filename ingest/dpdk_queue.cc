// The data path of a port: bursts of mbufs in and out.
#include <algorithm>
#include <array>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "base/check.h"
#include "base/limits.h"
#include "ingest/dpdk_device.h"
#include "ingest/dpdk_environment.h"

namespace millrace {
namespace {

class dpdk_queue final : public frame_device {
 public:
  dpdk_queue(std::shared_ptr<dpdk_port> port, std::uint16_t queue, std::uint32_t index)
      : port_(std::move(port)),
        port_id_(port_->plan().id),
        queue_(queue),
        index_(index),
        transmit_pool_(port_->plan().transmit_pools[queue]->get()) {}

  std::uint32_t receive(std::span<device_frame> out, std::uint32_t& unjoined) override {
    std::array<rte_mbuf*, limits::burst_packets_max> burst;
    const auto wanted = static_cast<std::uint16_t>(std::min(out.size(), burst.size()));
    const std::uint16_t count = rte_eth_rx_burst(port_id_, queue_, burst.data(), wanted);
    std::uint32_t taken = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      rte_mbuf* const mbuf = burst[i];
      if (mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf) != 0) {
        rte_pktmbuf_free(mbuf);
        ++unjoined;
        continue;
      }
      fill(*mbuf, out[taken++]);
    }
    return taken;
  }

  void release(std::uint64_t buffer) override {
    rte_pktmbuf_free(reinterpret_cast<rte_mbuf*>(buffer));
  }

  std::uint32_t claim(std::span<device_frame> out) override {
    std::array<rte_mbuf*, limits::burst_packets_max> burst;
    auto count = static_cast<unsigned>(std::min(out.size(), burst.size()));
    // All or none at a time: with fewer left, fewer are asked for.
    while (count > 0 && rte_pktmbuf_alloc_bulk(transmit_pool_, burst.data(), count) != 0)
      count /= 2;
    for (unsigned i = 0; i < count; ++i) {
      out[i].bytes = rte_pktmbuf_mtod(burst[i], std::byte*);
      out[i].capacity = rte_pktmbuf_tailroom(burst[i]);
      out[i].length = 0;
      out[i].buffer = reinterpret_cast<std::uintptr_t>(burst[i]);
    }
    return count;
  }

  std::uint32_t transmit(std::span<const device_frame> frames) override {
    std::array<rte_mbuf*, limits::burst_packets_max> burst;
    MILLRACE_CHECK(frames.size() <= burst.size(), "more frames than a burst");
    std::uint16_t filled = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      burst[i] = reinterpret_cast<rte_mbuf*>(frames[i].buffer);
      if (frames[i].length == 0) continue;
      burst[i]->data_len = static_cast<std::uint16_t>(frames[i].length);
      burst[i]->pkt_len = frames[i].length;
      ++filled;
    }
    const std::uint16_t sent =
        filled > 0 ? rte_eth_tx_burst(port_id_, queue_, burst.data(), filled) : filled;
    for (std::size_t i = sent; i < frames.size(); ++i)
      rte_pktmbuf_free(burst[i]);
    return sent;
  }

  void adopt_thread() override { join_eal(index_); }

  // Drivers count per port; the first queue speaks for all.
  std::uint64_t lost() const override { return queue_ == 0 ? port_->lost() : 0; }
  std::vector<source_statistic> statistics() const override {
    return queue_ == 0 ? port_->statistics() : std::vector<source_statistic>();
  }
  std::string describe() const override {
    return "dpdk port " + port_->name() + " queue " + std::to_string(queue_);
  }

 private:
  static void fill(rte_mbuf& mbuf, device_frame& out) {
    const std::uint64_t flags = mbuf.ol_flags;
    const std::uint64_t ip = flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    const std::uint64_t udp = flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    out.bytes = rte_pktmbuf_mtod(&mbuf, std::byte*);
    out.length = mbuf.data_len;
    out.capacity = 0;
    out.buffer = reinterpret_cast<std::uintptr_t>(&mbuf);
    out.vlan = (flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ? mbuf.vlan_tci : std::uint16_t{0};
    out.checksum_is_bad = ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || udp == RTE_MBUF_F_RX_L4_CKSUM_BAD;
    out.ip_is_good = ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    out.udp_is_good = udp == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }

  std::shared_ptr<dpdk_port> port_;
  std::uint16_t port_id_;
  std::uint16_t queue_;
  std::uint32_t index_;
  rte_mempool* transmit_pool_;
};

}  // namespace

std::unique_ptr<frame_device> make_dpdk_queue(std::shared_ptr<dpdk_port> port, std::uint16_t queue,
                                              std::uint32_t index) {
  return std::make_unique<dpdk_queue>(std::move(port), queue, index);
}

}  // namespace millrace
